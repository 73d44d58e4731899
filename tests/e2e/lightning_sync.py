"""Follows a chain through an Esplora server as LDK does: lightning-transaction-sync's `EsploraSyncClient`, in Python.

Makes the client's calls in its order with its checks (src/esplora.rs and src/common.rs there). python-bitcoinlib parses
the bytes and this file merkle blocks (BIP37), so that no code of Warren's judges itself. Hashes are hex in display
order.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bitcoin.core import CBlockHeader, CTransaction, Hash, b2lx, lx

ANTI_REORG_DELAY = 6
Outpoint = tuple[str, int]


class Inconsistent(Exception):
    """The chain moved during a sync, which then begins again."""


@dataclass
class Confirmable:
    """Stands for LDK's channel manager and monitors: records all notifications (`lightning::chain::Confirm`)."""

    confirmed: dict[str, tuple[int, str, int]] = field(default_factory=dict)
    """txid → height, block hash, position in the block."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    best: tuple[int, str] = (-1, "")

    def transactions_confirmed(self, header: CBlockHeader, position: int, tx: CTransaction, height: int) -> None:
        txid = b2lx(tx.GetTxid())
        self.confirmed[txid] = height, b2lx(header.GetHash()), position
        self.calls.append(("confirmed", txid))

    def transaction_unconfirmed(self, txid: str) -> None:
        del self.confirmed[txid]
        self.calls.append(("unconfirmed", txid))

    def best_block_updated(self, header: CBlockHeader, height: int) -> None:
        self.best = height, b2lx(header.GetHash())

    def relevant_txids(self) -> list[tuple[str, str]]:
        return [(txid, block_hash) for txid, (_, block_hash, _) in self.confirmed.items()]


@dataclass(frozen=True)
class ConfirmedTx:
    tx: CTransaction
    header: CBlockHeader
    height: int
    position: int

    @property
    def txid(self) -> str:
        return b2lx(self.tx.GetTxid())


class Esplora:
    """rust-esplora-client's calls, as far as LDK makes them."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def tip_hash(self) -> str:
        return self._text("/blocks/tip/hash")

    def header(self, block_hash: str) -> CBlockHeader:
        return CBlockHeader.deserialize(bytes.fromhex(self._text(f"/block/{block_hash}/header")))

    def block_status(self, block_hash: str) -> dict[str, Any]:
        return dict(json.loads(self._text(f"/block/{block_hash}/status")))

    def output_status(self, outpoint: Outpoint) -> dict[str, Any]:
        return dict(json.loads(self._text(f"/tx/{outpoint[0]}/outspend/{outpoint[1]}")))

    def tx(self, txid: str) -> CTransaction | None:
        raw = self._get(f"/tx/{txid}/raw")
        return None if raw is None else CTransaction.deserialize(raw)

    def merkle_block(self, txid: str) -> bytes | None:
        found = self._get(f"/tx/{txid}/merkleblock-proof")
        return None if found is None else bytes.fromhex(found.decode())

    def _text(self, path: str) -> str:
        found = self._get(path)
        assert found is not None, path
        return found.decode()

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(self._url + path, timeout=30) as reply:
                return bytes(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise


class EsploraSync:
    """Notifies confirmables about the registered transactions and outputs (`lightning::chain::Filter`)."""

    def __init__(self, client: Esplora) -> None:
        self.client = client
        self._queue: tuple[set[str], set[Outpoint]] = set(), set()
        self.watched_txs: set[str] = set()
        self.watched_outputs: set[Outpoint] = set()
        self._spends: list[tuple[str, int, Outpoint]] = []
        """Output spends on the chain that are not deep enough to be forgotten."""
        self._last_tip = ""
        self._pending = False
        self.restarts = 0

    def register_tx(self, txid: str) -> None:
        self._queue[0].add(txid)

    def register_output(self, outpoint: Outpoint) -> None:
        self._queue[1].add(outpoint)

    def sync(self, confirmables: Sequence[Confirmable]) -> None:
        tip = self.client.tip_hash()
        while True:
            registered = self._take_queue()
            tip_is_new = tip != self._last_tip
            if not (self._pending or registered or tip_is_new):
                return
            try:
                if tip_is_new:
                    unconfirmed = self._unconfirmed(confirmables)
                    tip = self._check_tip(tip)
                    self._tell_unconfirmed(confirmables, unconfirmed)
                    self._tell_best_block(confirmables, tip)
                confirmed = self._confirmed()
                tip = self._check_tip(tip)
            except Inconsistent:
                self.restarts += 1
                self._pending = True
                tip = self.client.tip_hash()
                continue
            self._tell_confirmed(confirmables, confirmed)
            self._last_tip = tip
            self._pending = False

    def _take_queue(self) -> bool:
        txids, outpoints = self._queue
        self._queue = set(), set()
        self.watched_txs |= txids
        self.watched_outputs |= outpoints
        return bool(txids or outpoints)

    def _check_tip(self, tip: str) -> str:
        if self.client.tip_hash() != tip:
            raise Inconsistent
        return tip

    def _unconfirmed(self, confirmables: Iterable[Confirmable]) -> list[str]:
        relevant = {item for confirmable in confirmables for item in confirmable.relevant_txids()}
        return [txid for txid, block_hash in relevant if not self.client.block_status(block_hash)["in_best_chain"]]

    def _tell_unconfirmed(self, confirmables: Iterable[Confirmable], txids: Iterable[str]) -> None:
        for txid in txids:
            for confirmable in confirmables:
                confirmable.transaction_unconfirmed(txid)
            self.watched_txs.add(txid)
            self.watched_outputs |= {outpoint for spender, _, outpoint in self._spends if spender == txid}
            self._spends = [spend for spend in self._spends if spend[0] != txid]

    def _tell_best_block(self, confirmables: Iterable[Confirmable], tip: str) -> None:
        header, status = self.client.header(tip), self.client.block_status(tip)
        if not status["in_best_chain"]:
            raise Inconsistent
        for confirmable in confirmables:
            confirmable.best_block_updated(header, status["height"])
        self._spends = [spend for spend in self._spends if status["height"] < spend[1] + ANTI_REORG_DELAY - 1]

    def _confirmed(self) -> list[ConfirmedTx]:
        found: dict[str, ConfirmedTx] = {}
        for txid in self.watched_txs:
            if (confirmed := self._confirmed_tx(txid)) is not None:
                found[txid] = confirmed
        for outpoint in self.watched_outputs:
            output = self.client.output_status(outpoint)
            if not output["spent"]:
                continue
            status = output["status"]
            if output["txid"] in found:
                if not status["confirmed"]:
                    raise Inconsistent
                continue
            confirmed = self._confirmed_tx(output["txid"], status.get("block_hash"), status.get("block_height"))
            if confirmed is not None:
                found[output["txid"]] = confirmed
        return sorted(found.values(), key=lambda confirmed: (confirmed.height, confirmed.position))

    def _confirmed_tx(self, txid: str, block_hash: str | None = None, height: int | None = None) -> ConfirmedTx | None:
        proof = self.client.merkle_block(txid)
        if proof is None:
            return None
        header, root, matches = read_merkle_block(proof)
        if block_hash not in (None, b2lx(header.GetHash())):
            raise Inconsistent
        assert root == header.hashMerkleRoot, "the merkle block proves another root"
        [(position, leaf)] = matches
        assert leaf == lx(txid), "the merkle block proves another transaction"
        tx = self.client.tx(txid)
        if tx is None:
            return None
        assert tx.GetTxid() == leaf, "the raw transaction is another one"
        if height is None:
            height = self.client.block_status(b2lx(header.GetHash()))["height"]
            if height is None:
                raise Inconsistent
        return ConfirmedTx(tx, header, height, position)

    def _tell_confirmed(self, confirmables: Iterable[Confirmable], confirmed: Iterable[ConfirmedTx]) -> None:
        for item in confirmed:
            for confirmable in confirmables:
                confirmable.transactions_confirmed(item.header, item.position, item.tx, item.height)
            self.watched_txs.discard(item.txid)
            for txin in item.tx.vin:
                outpoint = b2lx(txin.prevout.hash), txin.prevout.n
                if outpoint in self.watched_outputs:
                    self.watched_outputs.remove(outpoint)
                    self._spends.append((item.txid, item.height, outpoint))


def read_merkle_block(data: bytes) -> tuple[CBlockHeader, bytes, list[tuple[int, bytes]]]:
    """Return a merkle block's header, the root that its tree comes to, and position and txid of each match (BIP37)."""
    header, rest = CBlockHeader.deserialize(data[:80]), data[80:]
    count = int.from_bytes(rest[:4], "little")
    hash_count, rest = _compact_size(rest[4:])
    hashes = [rest[32 * index : 32 * index + 32] for index in range(hash_count)]
    byte_count, flags = _compact_size(rest[32 * hash_count :])
    assert len(flags) == byte_count, "bytes follow the merkle block"
    bits = [flags[index // 8] >> index % 8 & 1 for index in range(8 * byte_count)]
    matches: list[tuple[int, bytes]] = []

    def width(height: int) -> int:
        return (count + (1 << height) - 1) >> height

    def walk(height: int, position: int) -> bytes:
        if not bits.pop(0):
            return hashes.pop(0)
        if height == 0:
            matches.append((position, hashes[0]))
            return hashes.pop(0)
        left = walk(height - 1, 2 * position)
        right = walk(height - 1, 2 * position + 1) if 2 * position + 1 < width(height - 1) else left
        assert right != left or 2 * position + 1 >= width(height - 1), "a tree that hides a duplicate (CVE-2012-2459)"
        return bytes(Hash(left + right))

    height = 0
    while width(height) > 1:
        height += 1
    root = walk(height, 0)
    assert not hashes, "hashes are left over"
    assert not any(bits), "bits are left over"
    assert len(bits) < 8, "bits are left over"
    return header, root, matches


def _compact_size(data: bytes) -> tuple[int, bytes]:
    if data[0] < 0xFD:
        return data[0], data[1:]
    size = {0xFD: 2, 0xFE: 4, 0xFF: 8}[data[0]]
    return int.from_bytes(data[1 : 1 + size], "little"), data[1 + size :]
