"""The messages to each client of the websocket, with mempool.space's keys and fields. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.explorer.api.esplora.answers import EsploraTransaction
from services.explorer.live.websocket.changes import Changes, Needs, NewBlock, ShownTx
from services.explorer.live.websocket.snapshot import Parts
from services.explorer.live.websocket.subscription import ClientMessage, Subscription
from shared.primitives.hex import display_hash

Message = dict[str, Any]

_STATS = ("mempoolInfo", "fees", "da")
_PART_OF = {"blocks": ("blocks",), "mempool-blocks": ("mempool-blocks",), "stats": _STATS}
_INIT = ("mempoolInfo", "blocks", "mempool-blocks", "transactions", "da", "fees")
_FIRST = {
    "backend": "esplora",
    "backendInfo": {"hostname": "warren", "version": "warren", "gitCommit": ""},
    "loadingIndicators": {},
    "conversions": {},
}


def needs_of(subscriptions: Iterable[Subscription]) -> Needs:
    """Return the reads that the messages to these clients need."""
    needs = Needs()
    for subscription in subscriptions:
        projected = set(needs.projected) | (
            {subscription.mempool_block} if subscription.mempool_block is not None else set()
        )
        needs = Needs(
            blocks=needs.blocks or "blocks" in subscription.wants,
            block_txids=needs.block_txids or bool(subscription.txids) or subscription.mempool_txids,
            txs=needs.txs or subscription.mempool or bool(subscription.script_pubkeys) or bool(subscription.txids),
            pool=needs.pool or bool(subscription.txids) or bool(projected),
            projected=projected,
        )
    return needs


def wants_snapshot(subscription: Subscription) -> bool:
    """Whether a client is sent any part of the snapshot."""
    return bool(subscription.wants & _PART_OF.keys())


def first_message(asked: ClientMessage, parts: Parts, vbytes_per_second: int) -> Message:
    """Return the answer that needs no further read: the whole snapshot for `init`, parts of it for `want`."""
    message: Message = dict(asked.errors)
    if asked.init:
        message |= _FIRST | {key: parts[key] for key in _INIT} | {"vBytesPerSecond": vbytes_per_second}
    for name in asked.now & _PART_OF.keys():
        message |= {key: parts[key] for key in _PART_OF[name]}
        if name == "stats":
            message["vBytesPerSecond"] = vbytes_per_second
    if asked.ping:
        message["pong"] = True
    return message


def block_messages(subscription: Subscription, changes: Changes, sequence: int) -> list[Message]:
    """Return a message for each new block that concerns a client; `sequence` is the number of the first."""
    messages = []
    for number, block in enumerate(changes.blocks, sequence):
        message = _block_message(subscription, block, number)
        if message:
            messages.append(message)
    return messages


def _block_message(subscription: Subscription, block: NewBlock, sequence: int) -> Message:
    message: Message = {}
    if "blocks" in subscription.wants:
        message["block"] = block.answer
    if subscription.tx in block.txids:
        message["txConfirmed"] = _hex(subscription.tx)
    if confirmed := [txid for txid in subscription.txs if txid in block.txids]:
        message["tracked-txs"] = {display_hash(txid): {"confirmed": True} for txid in confirmed}
    if subscription.address and (found := _of(subscription.address[1], block.txs)):
        message["block-transactions"] = found
    message |= _grouped(subscription, block.txs, "confirmed")
    delta = {"sequence": sequence, "added": [], "removed": [], "replaced": []}
    mined = [display_hash(txid) for txid in block.txids] if subscription.mempool or subscription.mempool_txids else []
    if subscription.mempool_txids:
        message["mempool-txids"] = delta | {"mined": mined}
    if subscription.mempool:
        message["mempool-transactions"] = delta | {"mined": mined}
    return message


def pool_message(
    subscription: Subscription,
    changes: Changes,
    parts: Parts,
    vbytes_per_second: int,
    before: Mapping[int, Mapping[bytes, list[Any]]],
    sequence: int,
) -> Message:
    """Return the message on everything but new blocks; `before` are the projected blocks of the last message."""
    gathered = changes.gathered
    message: Message = {}
    if "blocks" in subscription.wants and gathered.is_reorg:
        message["blocks"] = parts["blocks"]
    if "mempool-blocks" in subscription.wants:
        message["mempool-blocks"] = parts["mempool-blocks"]
    if "stats" in subscription.wants:
        message |= {key: parts[key] for key in (*_STATS, "transactions")}
        message["vBytesPerSecond"] = vbytes_per_second
    message |= _tracked_tx(subscription, changes)
    if subscription.address and (found := _of(subscription.address[1], changes.added)):
        message["address-transactions"] = found
    message |= _grouped(subscription, changes.added, "mempool")
    if gathered.added or gathered.removed:
        message |= _pool_delta(subscription, changes, sequence)
    index = subscription.mempool_block
    if index is not None and index in changes.projected:
        delta = _projected_delta(changes.projected[index], before.get(index, {}))
        if any(delta.values()):
            message["projected-block-transactions"] = {"index": index, "sequence": sequence, "delta": delta}
    return message


def tracked_message(subscription: Subscription, asked: ClientMessage, changes: Changes, sequence: int) -> Message:
    """Return the present state of newly tracked transactions and blocks; `changes.added` are these transactions."""
    message: Message = {}
    known = {tx.txid: tx for tx in changes.added}
    replaced = changes.gathered.replaced
    if "track-tx" in asked.answers and subscription.tx is not None:
        if asked.watch and subscription.tx in replaced:
            message["txReplaced"] = {"txid": display_hash(replaced[subscription.tx])}
        elif asked.watch and subscription.tx in known:
            message["tx"] = known[subscription.tx].answer
        message |= _position(subscription.tx, changes)
    if "track-txs" in asked.answers and subscription.txs:
        message["tracked-txs"] = {display_hash(txid): _info(txid, known, changes) for txid in subscription.txs}
    index = subscription.mempool_block
    if "track-mempool-block" in asked.answers and index is not None:
        transactions = list(changes.projected.get(index, {}).values())
        block = {"index": index, "sequence": sequence, "blockTransactions": transactions}
        message["projected-block-transactions"] = block
    return message


def _info(txid: bytes, known: Mapping[bytes, ShownTx], changes: Changes) -> Message:
    if txid in changes.gathered.replaced:
        return {"confirmed": False, "replacedBy": display_hash(changes.gathered.replaced[txid])}
    confirmed = txid in known and bool(known[txid].answer.status.confirmed)
    return {"confirmed": confirmed} | _position_of(txid, changes)


def _tracked_tx(subscription: Subscription, changes: Changes) -> Message:
    message: Message = {}
    replaced = changes.gathered.replaced
    spent = _spent(subscription.txids, changes.added) if subscription.txids else {}
    if subscription.tx is not None:
        if subscription.tx in spent:
            message["utxoSpent"] = spent[subscription.tx]
        if subscription.tx in replaced:
            message["txReplaced"] = message["rbfTransaction"] = {"txid": display_hash(replaced[subscription.tx])}
        for tx in changes.added:
            if tx.txid == subscription.tx:
                message["tx"] = tx.answer
        message |= _position(subscription.tx, changes)
    infos: Message = {}
    for txid in subscription.txs:
        info = _position_of(txid, changes)
        if txid in spent:
            info["utxoSpent"] = spent[txid]
        if txid in replaced:
            info["replacedBy"] = display_hash(replaced[txid])
        if info:
            infos[display_hash(txid)] = info
    return message | ({"tracked-txs": infos} if infos else {})


def _spent(txids: frozenset[bytes], added: Sequence[ShownTx]) -> dict[bytes, dict[str, Message]]:
    """Return the outputs of these transactions that the new ones spend."""
    found: dict[bytes, dict[str, Message]] = {}
    for tx in added:
        for position, (txid, vout) in enumerate(tx.spends):
            if txid in txids:
                found.setdefault(txid, {})[str(vout)] = {"vin": position, "txid": display_hash(tx.txid)}
    return found


def _position_of(txid: bytes, changes: Changes) -> Message:
    if txid not in changes.positions:
        return {}
    block, vsize = changes.positions[txid]
    return {"position": {"block": block, "vsize": vsize}}


def _position(txid: bytes, changes: Changes) -> Message:
    position = _position_of(txid, changes)
    return {"txPosition": {"txid": display_hash(txid)} | position} if position else {}


def _of(script: bytes, txs: Sequence[ShownTx]) -> list[EsploraTransaction]:
    return [tx.answer for tx in txs if script in tx.scripts]


def _grouped(subscription: Subscription, txs: Sequence[ShownTx], kind: str) -> Message:
    """Return the transactions of each of a client's many addresses and scripts, as `mempool` or `confirmed`."""
    message: Message = {}
    for key, tracked in (
        ("multi-address-transactions", subscription.addresses),
        ("multi-scriptpubkey-transactions", subscription.scripts),
    ):
        found = {name: _of(script, txs) for name, script in tracked.items()}
        none: Message = {"mempool": [], "confirmed": [], "removed": []}
        groups = {name: none | {kind: some} for name, some in found.items() if some}
        if groups:
            message[key] = groups
    return message


def _pool_delta(subscription: Subscription, changes: Changes, sequence: int) -> Message:
    gathered = changes.gathered
    message: Message = {}
    removed = [display_hash(txid) for txid in gathered.removed]
    if subscription.mempool_txids:
        pairs = [{"replaced": display_hash(old), "by": display_hash(new)} for old, new in gathered.replaced.items()]
        added = [display_hash(txid) for txid in gathered.added]
        delta = {"sequence": sequence, "added": added, "removed": removed, "mined": [], "replaced": pairs}
        message["mempool-txids"] = delta
    if subscription.mempool:
        whole = {tx.txid: tx.answer for tx in changes.added}
        known = [(old, whole[new]) for old, new in gathered.replaced.items() if new in whole]
        by = [{"replaced": display_hash(old), "by": new} for old, new in known]
        delta = {"sequence": sequence, "added": list(whole.values()), "removed": removed, "mined": [], "replaced": by}
        message["mempool-transactions"] = delta
    return message


def _projected_delta(now: Mapping[bytes, list[Any]], before: Mapping[bytes, list[Any]]) -> Message:
    return {
        "added": [now[txid] for txid in now if txid not in before],
        "removed": [display_hash(txid) for txid in before if txid not in now],
        "changed": [],  # a transaction's own feerate stays what it is
    }


def _hex(txid: bytes | None) -> str:
    return display_hash(txid) if txid is not None else ""
