"""The API of bitcoinjs's regtest-server, which `regtest-client` calls, under `/1`. On test chains only.

Fields, units (satoshis) and paths are that server's. Its errors are a bare status; errors here also have a text, except
one that the client acts on: a faucet short of coins answers `Bad Request`, and the client then mines blocks and tries
again. No `key` is required. The OpenAPI document leaves these resources out.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from services.explorer.api.answer import Answer
from services.explorer.api.faucet_client import INSUFFICIENT, FaucetClient, FaucetRefused
from services.explorer.api.operation import RAW_TX, Operation, query
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.api.submit import submit
from services.explorer.chain.models import TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError
from shared.bus.broker import Broker
from shared.chain.view import script_hash
from shared.crypto.address import AddressPrefix, encode_address
from shared.errors import DecodeError
from shared.primitives.hex import display_hash, parse_hex
from shared.primitives.transaction import Transaction, TxIn, TxOut

LIMIT = 440
"""The most outputs and transactions of one script, as in regtest-server; more are an error."""
BEST = "best"


class ScriptOutput(Answer, frozen=True, kw_only=True):
    """An output of a script."""

    txid: str = msgspec.field(name="txId")
    vout: int
    value: int
    height: int | UnsetType = UNSET
    """Left out while unconfirmed."""
    coinbase: int
    """1 for a coinbase, else 0."""


class TxInput(Answer, frozen=True):
    """An input of a transaction."""

    txid: str = msgspec.field(name="txId")
    vout: int
    script: str
    sequence: int


class TxOutput(Answer, frozen=True, kw_only=True):
    """An output of a transaction."""

    address: str | UnsetType = UNSET
    script: str
    value: int


class TxFields(Answer, frozen=True):
    """A transaction."""

    txid: str = msgspec.field(name="txId")
    raw: str = msgspec.field(name="txHex")
    vsize: int
    version: int
    locktime: int
    ins: list[TxInput]
    outs: list[TxOutput]


class RegtestServer:
    """Reads scripts, transactions and blocks; pays and mines by the faucet."""

    def __init__(self, chain: ChainQueries, broker: Broker, faucet: FaucetClient) -> None:
        self._chain = chain
        self._broker = broker
        self._faucet = faucet
        self._prefix = chain.params.address

    # ── addresses, or scripts in hex ────────────────────────────────────────────────────────────────────────────

    def unspents(self, name: str) -> list[ScriptOutput]:
        """Return the outputs that are spent neither in a block nor in the pool."""
        coins = self._chain.scripts.unspent(script_hash(self._script(name)), LIMIT)
        if coins is None:
            raise _too_many()
        return [
            _script_output(*coin.outpoint, coin.output, block.height if block else None, coin.is_coinbase)
            for coin, block in coins
        ]

    def outputs(self, name: str) -> list[ScriptOutput]:
        """Return every output, spent or not."""
        script = self._script(name)
        return [
            _script_output(info.tx.txid, vout, output, info.block.height if info.block else None, info.tx.is_coinbase)
            for info in self._txs(script)
            for vout, output in enumerate(info.tx.outputs)
            if output.script_pubkey == script
        ]

    def raw_txs(self, name: str) -> list[str]:
        """Return the transactions in hex."""
        return [info.tx.serialize().hex() for info in self._txs(self._script(name))]

    def txids(self, name: str) -> list[str]:
        """Return the txids."""
        return [info.tx.txid_hex for info in self._txs(self._script(name))]

    def _txs(self, script: bytes) -> list[TxInfo]:
        found = self._chain.scripts.merged_txs([script_hash(script)], LIMIT + 1, None) or []
        if len(found) > LIMIT:
            raise _too_many()
        return found

    def _script(self, name: str) -> bytes:
        """Return the script of an address; hex is the script itself."""
        try:
            return parse_hex(name, "script")
        except DecodeError:
            return self._faucet.script_of(name)

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def tx(self, txid: str) -> str:
        """Return a transaction in hex."""
        return self._chain.txs.record(read_hash(txid)).tx.serialize().hex()

    def tx_fields(self, txid: str) -> TxFields:
        """Return a transaction's fields."""
        return _tx_fields(self._chain.txs.record(read_hash(txid)).tx, self._prefix)

    def tx_block(self, txid: str) -> str | None:
        """Return the hash of a transaction's block, null while it has none."""
        record = self._chain.txs.record(read_hash(txid))
        return display_hash(record.block.hash) if record.block else None

    def pool(self) -> list[str]:
        """Return every unconfirmed txid."""
        return [display_hash(txid) for txid in self._chain.pool.txids()]

    async def push(self, body: bytes) -> str:
        """Take a raw transaction in hex; the answer is empty, or says why it is refused."""
        await submit(self._broker, body.decode("utf-8", "replace"))
        return ""

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def best(self) -> str:
        """Return the tip's hash."""
        return display_hash(self._chain.tip().hash)

    def header(self, name: str) -> str:
        """Return a block's header in hex."""
        return self._chain.blocks.get(self._block_hash(name)).entry.header.serialize().hex()

    def height(self, name: str) -> int:
        """Return a block's height."""
        return self._chain.blocks.get(self._block_hash(name)).entry.height

    def _block_hash(self, name: str) -> bytes:
        return self._chain.tip().hash if name == BEST else read_hash(name)

    # ── mining and the faucet ───────────────────────────────────────────────────────────────────────────────────

    async def generate(self, count: str = "1", address: str | None = None) -> list[str]:
        """Mine blocks, 1 by default, for an address or the faucet's wallet; return their hashes."""
        return await self._faucet.mine(read_number(count), address)

    async def pay(self, address: str | None = None, value: str | None = None) -> str:
        """Pay an address and return the txid."""
        return await self._pay(self._faucet.script_of(_given("address", address)), value)

    async def pay_script(self, script: str | None = None, value: str | None = None) -> str:
        """Pay a script and return the txid."""
        try:
            script_pubkey = parse_hex(_given("script", script), "script")
        except DecodeError as error:
            raise RequestError(400, str(error)) from None
        return await self._pay(script_pubkey, value)

    async def _pay(self, script: bytes, value: str | None) -> str:
        try:
            return await self._faucet.pay(script, read_number(_given("value", value)))
        except FaucetRefused as error:
            if error.code == INSUFFICIENT:
                raise RequestError(400, "Bad Request") from None
            raise


def _given(name: str, text: str | None) -> str:
    if text is None:
        raise RequestError(400, f"Missing {name}")
    return text


def _too_many() -> RequestError:
    return RequestError(400, "Exceeded Limit")


def _script_output(txid: bytes, vout: int, output: TxOut, height: int | None, is_coinbase: bool) -> ScriptOutput:
    return ScriptOutput(
        txid=display_hash(txid),
        vout=vout,
        value=output.value,
        height=UNSET if height is None else height,
        coinbase=int(is_coinbase),
    )


def _tx_fields(tx: Transaction, prefix: AddressPrefix) -> TxFields:
    return TxFields(
        tx.txid_hex,
        tx.serialize().hex(),
        tx.vsize,
        tx.version,
        tx.lock_time,
        [_tx_input(txin) for txin in tx.inputs],
        [_tx_output(output, prefix) for output in tx.outputs],
    )


def _tx_input(txin: TxIn) -> TxInput:
    return TxInput(display_hash(txin.prevout.txid), txin.prevout.vout, txin.script_sig.hex(), txin.sequence)


def _tx_output(output: TxOut, prefix: AddressPrefix) -> TxOutput:
    address = encode_address(output.script_pubkey, prefix)
    return TxOutput(address=address or UNSET, script=output.script_pubkey.hex(), value=output.value)


_VALUE = query("value", "Satoshis")
_ADDRESS = query("address", "Address, or a script in hex")

OPERATIONS = (
    Operation("/a/{name}/unspents", RegtestServer.unspents),
    Operation("/a/{name}/txos", RegtestServer.outputs),
    Operation("/a/{name}/txs", RegtestServer.raw_txs),
    Operation("/a/{name}/txids", RegtestServer.txids),
    Operation("/t/mempool", RegtestServer.pool),
    Operation("/t/push", RegtestServer.push, method="POST", body=RAW_TX),
    Operation("/t/push", RegtestServer.push, method="PUT", body=RAW_TX),
    Operation("/t/{txid}", RegtestServer.tx),
    Operation("/t/{txid}/json", RegtestServer.tx_fields),
    Operation("/t/{txid}/block", RegtestServer.tx_block),
    Operation("/b/best", RegtestServer.best),
    Operation("/b/{name}/header", RegtestServer.header),
    Operation("/b/{name}/height", RegtestServer.height),
    Operation("/r/generate", RegtestServer.generate, parameters=(query("count", "Blocks"), _ADDRESS), method="POST"),
    Operation("/r/faucet", RegtestServer.pay, parameters=(_ADDRESS, _VALUE), method="POST"),
    Operation("/r/faucetScript", RegtestServer.pay_script, parameters=(query("script", "Hex"), _VALUE), method="POST"),
)
