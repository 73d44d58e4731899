"""Rows of a transaction's page for inputs, outputs and replacements, its drawing, and the steps of its proof. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.explorer.chain.models import MerkleProof, Outspend, TxInfo
from services.explorer.chain.rbf_trees import Version
from services.explorer.pages.links import input_path, output_path, script_path
from services.explorer.pages.transaction.input_script import Spending, read_spending, script_label
from services.explorer.pages.transaction.tx_flow_diagram import End, Flow, bundle, draw
from services.explorer.pages.transaction.tx_text import data_text, is_witness_commitment, sequence_meaning
from shared.consensus.tx_verify import sigop_cost
from shared.crypto.address import AddressPrefix, encode_address
from shared.crypto.hashes import sha256d
from shared.primitives.hex import display_hash
from shared.primitives.merkle import branch_of
from shared.primitives.transaction import TxIn, TxOut
from shared.script.flags import Flags
from shared.script.script import to_rust_asm
from shared.script.standard import is_unspendable
from shared.web.formats import btc

_SHORT_HEAD, _SHORT_TAIL = 11, 6
_LABEL_TEXT = 22
_COUNTED = Flags.P2SH | Flags.WITNESS


@dataclass(frozen=True, slots=True)
class InputRow:
    """An input; `output` is the coin that it spends, None if unknown."""

    index: int
    txin: TxIn
    output: TxOut | None
    address: str | None
    owner_path: str
    coin_path: str
    spending: Spending
    sequence: str
    """The meaning of its sequence."""


@dataclass(frozen=True, slots=True)
class OutputRow:
    """An output, and the input that spends it."""

    index: int
    output: TxOut
    address: str | None
    owner_path: str
    kind: str
    asm: str
    text: str
    """The text of an OP_RETURN output."""
    is_commitment: bool
    can_be_spent: bool
    outspend: Outspend | None
    spender_path: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A transaction of a tree of replacements."""

    version: Version
    depth: int
    """Branches of the tree between the last replacement and this one."""


@dataclass(frozen=True, slots=True)
class ProofStep:
    """One hash on the way to the merkle root; all in display order."""

    sibling: str
    is_left: bool
    """Whether the sibling goes before the hash reached so far."""
    result: str


def input_rows(info: TxInfo, window: slice, prefix: AddressPrefix) -> list[InputRow]:
    """Return the rows of the inputs in `window`."""
    rows = []
    for index in range(len(info.tx.inputs))[window]:
        txin = info.tx.inputs[index]
        output = info.prevouts.get(txin.prevout)
        script = output.script_pubkey if output else b""
        rows.append(
            InputRow(
                index,
                txin,
                output,
                encode_address(script, prefix),
                script_path(script, prefix),
                output_path(*txin.prevout),
                read_spending(txin, output),
                sequence_meaning(txin.sequence, info.tx.version),
            )
        )
    return rows


def output_rows(
    info: TxInfo, window: slice, outspends: Sequence[Outspend | None], prefix: AddressPrefix
) -> list[OutputRow]:
    """Return the rows of the outputs in `window`, given the spend of each."""
    rows = []
    for index, outspend in zip(range(len(info.tx.outputs))[window], outspends, strict=True):
        output = info.tx.outputs[index]
        script = output.script_pubkey
        rows.append(
            OutputRow(
                index,
                output,
                encode_address(script, prefix),
                script_path(script, prefix),
                script_label(script),
                to_rust_asm(script),
                data_text(script),
                info.tx.is_coinbase and is_witness_commitment(script),
                not is_unspendable(script),
                outspend,
                input_path(outspend.spend.txid, outspend.spend.vin) if outspend else "",
            )
        )
    return rows


def picture(info: TxInfo, inputs: Sequence[InputRow], outputs: Sequence[OutputRow]) -> Flow:
    """Return the drawing of a transaction, given the rows of its first page."""
    paid = [output.value for output in info.tx.outputs]
    if info.tx.is_coinbase:
        left = [End("reward", sum(paid), "New coins and fees", "New coins and fees")]
    else:
        spent = [_value(info, txin) for txin in info.tx.inputs]
        drawn = bundle(spent)
        left = [_input_end(row) for row in inputs[: drawn.shown]]
        if drawn.rest:
            left.append(_more(drawn.rest, drawn.value, "input", "#inputs"))
    drawn = bundle(paid)
    right = [_output_end(row) for row in outputs[: drawn.shown]]
    if drawn.rest:
        right.append(_more(drawn.rest, drawn.value, "output", "#outputs"))
    if info.fee:
        right.append(End("fee", info.fee, "Fee", "Fee, for the miner"))
    return draw(left, right)


def versions(tree: Version, depth: int = 0) -> list[VersionRow]:
    """Return the transactions of a tree of replacements, each above its replaced ones."""
    rows = [VersionRow(tree, depth)]
    for replaced in sorted(tree.replaces, key=lambda version: version.time, reverse=True):
        rows += versions(replaced, depth + (len(tree.replaces) > 1))
    return rows


def sigops(info: TxInfo) -> int | None:
    """Return the signature operation cost (BIP141); None if a spent output is unknown."""
    spent = [info.prevouts.get(txin.prevout) for txin in info.tx.inputs]
    known = [output for output in spent if output is not None]
    if not info.tx.is_coinbase and len(known) < len(spent):
        return None
    return sigop_cost(info.tx, known, _COUNTED)


def proof_steps(proof: MerkleProof) -> list[ProofStep]:
    """Return the hashes, step by step, from a confirmed transaction's id to the root in its block's header."""
    steps = []
    node, position = proof.tree[0][proof.position], proof.position
    for sibling in branch_of(proof.tree, proof.position):
        is_left = bool(position & 1)
        node = sha256d(sibling + node if is_left else node + sibling)
        steps.append(ProofStep(display_hash(sibling), is_left, display_hash(node)))
        position >>= 1
    return steps


def _value(info: TxInfo, txin: TxIn) -> int | None:
    output = info.prevouts.get(txin.prevout)
    return output.value if output else None


def _input_end(row: InputRow) -> End:
    name = row.address or row.spending.kind
    value = row.output.value if row.output else None
    return End("coin", value, _short(name), f"Input {row.index}: {name}", row.coin_path)


def _output_end(row: OutputRow) -> End:
    name = row.address or (f"“{row.text}”" if row.text else row.kind)
    title = f"Output {row.index}: {row.address or row.kind}"
    if row.outspend:
        title += ", spent" if row.outspend.block else ", being spent"
    kind = "coin" if row.can_be_spent else "data"
    label = _short(name) if row.address else _cut(name)
    return End(kind, row.output.value, label, title, row.spender_path or f"#out-{row.index}")


def _more(count: int, value: int | None, what: str, href: str) -> End:
    title = f"{count} more {what}s"
    return End("more", value, f"and {count} more", title if value is None else f"{title}, {btc(value)} BTC", href)


def _short(name: str) -> str:
    if len(name) <= _LABEL_TEXT:
        return name
    return f"{name[:_SHORT_HEAD]}…{name[-_SHORT_TAIL:]}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LABEL_TEXT else f"{line[: _LABEL_TEXT - 1]}…"
