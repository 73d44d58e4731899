"""Rebuilds every index of a chain from its raw blocks, to compare with the indexes in Redis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set

import redis as redis_py

from shared.chain import codec
from shared.chain.redis_keys import Keys
from shared.consensus.params import REGTEST
from shared.consensus.subsidy import block_subsidy
from shared.crypto.address import encode_address
from shared.crypto.hashes import sha256
from shared.primitives.block import Block
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.script.standard import is_unspendable


def _raw_chain(client: redis_py.Redis, keys: Keys) -> list[Block]:
    heights = client.get(keys.heights)
    return [Block.parse(client.get(keys.block(heights[i : i + 32]))) for i in range(0, len(heights), 32)]


def check_books(client: redis_py.Redis) -> None:
    """Assert that every index equals the one rebuilt, and that no coin came from nowhere."""
    keys = Keys(REGTEST.name)
    blocks = _raw_chain(client, keys)
    coins: dict[bytes, tuple[int, bytes, int]] = {}
    spends: dict[bytes, tuple[bytes, int]] = {}
    history: dict[bytes, dict[bytes, int]] = defaultdict(dict)
    stats: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    txs: dict[bytes, bytes] = {blocks[0].transactions[0].txid: blocks[0].transactions[0].serialize()}
    scripts: dict[bytes, bytes] = {}
    outputs: dict[bytes, TxOut] = {}
    minted = burned = 0
    for height, block in enumerate(blocks[1:], 1):
        assert block.header.prev_hash == blocks[height - 1].hash
        fees = 0
        rates: list[tuple[float, int]] = []
        for position, tx in enumerate(block.transactions):
            touched = set()
            spent = []
            for vin, txin in enumerate(tx.inputs if position else ()):
                value, script, _ = coins.pop(txin.prevout.serialize())
                spends[txin.prevout.serialize()] = (tx.txid, vin)
                spent.append(value)
                touched.add(sha256(script))
                stats[sha256(script)]["spent_count"] += 1
                stats[sha256(script)]["spent_sum"] += value
            for vout, output in enumerate(tx.outputs):
                outputs[OutPoint(tx.txid, vout).serialize()] = output
                if is_unspendable(output.script_pubkey):
                    burned += output.value
                    continue
                coins[OutPoint(tx.txid, vout).serialize()] = (output.value, output.script_pubkey, height)
                touched.add(sha256(output.script_pubkey))
                scripts[sha256(output.script_pubkey)] = output.script_pubkey
                stats[sha256(output.script_pubkey)]["funded_count"] += 1
                stats[sha256(output.script_pubkey)]["funded_sum"] += output.value
            if position:
                paid = sum(spent) - sum(output.value for output in tx.outputs)
                fees += paid
                rates.append((paid / tx.vsize, tx.vsize))
            for script_hash in touched:
                history[script_hash][tx.txid] = codec.history_score(height, position)
                stats[script_hash]["tx_count"] += 1
            txs[tx.txid] = tx.serialize()
        _check_layout(client, keys, block)
        _check_fees(client.hget(keys.block_fees, block.hash), fees, rates)
        claimed = sum(output.value for output in block.transactions[0].outputs)
        minted += block_subsidy(height, REGTEST)
        burned += block_subsidy(height, REGTEST) + fees - claimed
    assert sum(value for value, _, _ in coins.values()) == minted - burned

    stored_txs = _check_txs(client, keys, coins, spends, outputs)
    assert stored_txs == txs

    coins_by_script: dict[bytes, dict[bytes, int]] = defaultdict(dict)
    for outpoint, (_, script, height) in coins.items():
        coins_by_script[sha256(script)][outpoint] = height
    _check_scripts(client, keys, stats, coins_by_script, history)
    known = [scripts[key] for key in stats]
    by_group: dict[bytes, list[bytes]] = defaultdict(list)
    for script in sorted(known):
        if encode_address(script, REGTEST.address):
            by_group[codec.script_group(script)].append(script)
    groups = {key: codec.decode_script_group(key, value) for key, value in client.hgetall(keys.scripts).items()}
    assert groups == by_group
    _check_pool(client, keys, stored_txs, coins.keys())
    _check_replacements(client, keys)


def _check_txs(
    client: redis_py.Redis,
    keys: Keys,
    coins: dict[bytes, tuple[int, bytes, int]],
    spends: dict[bytes, tuple[bytes, int]],
    outputs: dict[bytes, TxOut],
) -> dict[bytes, bytes]:
    """Compare the stored parts of all transactions, and return txid → bytes as they are found by their locations."""
    stored_coins, stored_spends, stored_txs = {}, {}, {}
    for field, value in client.hgetall(keys.txs).items():
        part = codec.decode_tx_part(value)
        assert (len(field) == 32) == (part.location is not None)
        assert not part.outputs or part.outputs[-1] is not None
        for outpoint in codec.part_outpoints(field, part):
            assert codec.part_field(outpoint) == field
            if (data := part.coin(outpoint.vout)) is not None:
                coin = codec.decode_coin(data)
                stored_coins[outpoint.serialize()] = (coin.output.value, coin.output.script_pubkey, coin.height)
            if (spend := part.spend(outpoint.vout)) is not None:
                stored_spends[outpoint.serialize()] = (spend.txid, spend.vin)
        where = part.decoded_location()
        if where is None:
            assert part.outputs
            continue
        raw = client.getrange(keys.block(where.block_hash), where.offset, where.offset + where.length - 1)
        stored_txs[field] = raw
        first, last = where.spent_offset, where.spent_offset + where.spent_length - 1
        spent = client.getrange(keys.undo(where.block_hash), first, last)
        outpoints = [txin.prevout.serialize() for txin in Transaction.parse(raw).inputs]
        read = [coin.output for coin in codec.decode_spent(spent)[0]] if where.spent_length else []
        assert read == [outputs[outpoint] for outpoint in outpoints if outpoint in outputs]
    assert stored_coins == coins
    assert stored_spends == spends
    return stored_txs


def _check_scripts(
    client: redis_py.Redis,
    keys: Keys,
    stats: dict[bytes, dict[str, int]],
    coins: dict[bytes, dict[bytes, int]],
    history: dict[bytes, dict[bytes, int]],
) -> None:
    """Compare the record of each script, and its sorted sets if it has many transactions or coins, and only then."""
    records = {key: codec.decode_script_record(value) for key, value in client.hgetall(keys.script_records).items()}
    assert {key: record.stats for key, record in records.items()} == {
        key: codec.ScriptStats(**counts) for key, counts in stats.items()
    }
    names = set()
    for key, record in records.items():
        many = max(len(history[key]), len(coins[key])) > codec.MOST_PACKED
        assert (record.packed is None) == many
        if not many:
            assert record.history() == sorted((score, txid) for txid, score in history[key].items())
            assert record.coins() == sorted((height, outpoint) for outpoint, height in coins[key].items())
            continue
        for name, expected in ((keys.script_coins(key), coins[key]), (keys.script_history(key), history[key])):
            assert {m: int(score) for m, score in client.zrange(name, 0, -1, withscores=True)} == expected
            names |= {name.encode()} if expected else set()
    assert set(client.scan_iter(match=keys.prefix + "script:*", count=1000)) == names


def _check_replacements(client: redis_py.Redis, keys: Keys) -> None:
    replaced = {txid: codec.decode_replaced(value) for txid, value in client.hgetall(keys.replaced).items()}
    replaces = {txid: codec.decode_replaces(value) for txid, value in client.hgetall(keys.replaces).items()}
    assert set(client.zrange(keys.replacements, 0, -1)) == replaces.keys()
    assert all(record.tx.txid == txid for txid, record in replaced.items())
    for txid, record in replaced.items():
        direct, descendants = replaces[record.replaced_by]
        assert txid in (*direct, *descendants)


def _check_layout(client: redis_py.Redis, keys: Keys, block: Block) -> None:
    raw, end, undo_end = block.serialize(), 0, 0
    layout = codec.decode_layout(client.get(keys.layout(block.hash)))
    undo = client.get(keys.undo(block.hash))
    for entry, tx, spent in zip(layout, block.transactions, [None, *codec.decode_undo(undo)], strict=True):
        assert entry.txid == tx.txid
        assert raw[entry.end - tx.size : entry.end] == tx.serialize()
        if spent is not None:
            assert codec.decode_spent(undo[undo_end : entry.spent_end]) == [spent]
        end, undo_end = entry.end, entry.spent_end
    assert (end, undo_end) == (len(raw), len(undo))


def _check_fees(stored: bytes | None, total: int, rates: list[tuple[float, int]]) -> None:
    """Compare with a list that has the feerate of each virtual byte of the block's payments."""
    if not rates:
        assert stored is None
        return
    assert stored is not None
    fees = codec.decode_block_fees(stored)
    every_byte = [rate for rate, vsize in sorted(rates) for _ in range(vsize)]
    places = [step * len(every_byte) // 6 for step in range(6)]
    assert fees.total == total
    assert fees.feerates == (*(every_byte[place] for place in places), every_byte[-1])


def _check_pool(client: redis_py.Redis, keys: Keys, confirmed: dict[bytes, bytes], coins: Set[bytes]) -> None:
    raw = client.hgetall(keys.pool_txs)
    entries = {txid: codec.decode_pool_entry(value) for txid, value in client.hgetall(keys.pool_entries).items()}
    txs = {txid: Transaction.parse(data) for txid, data in raw.items()}
    assert entries.keys() == txs.keys() == set(client.zrange(keys.pool_order, 0, -1))
    assert not txs.keys() & confirmed.keys(), "a transaction is confirmed or in the pool, never both"
    everything = txs | {txid: Transaction.parse(data) for txid, data in confirmed.items()}
    spent: dict[bytes, tuple[bytes, int]] = {}
    scripts: set[tuple[bytes, int, bytes]] = set()
    for txid, tx in txs.items():
        for vin, txin in enumerate(tx.inputs):
            assert txin.prevout.serialize() not in spent, "two transactions of the pool spend one coin"
            spent[txin.prevout.serialize()] = (txid, vin)
            assert txin.prevout.serialize() in coins or txin.prevout.txid in txs
            output = everything[txin.prevout.txid].outputs[txin.prevout.vout]
            scripts.add((sha256(output.script_pubkey), entries[txid].sequence, txid))
        for output in tx.outputs:
            scripts.add((sha256(output.script_pubkey), entries[txid].sequence, txid))
    stored = {k: codec.decode_spend(v) for k, v in client.hgetall(keys.pool_spends).items()}
    assert {k: (spend.txid, spend.vin) for k, spend in stored.items()} == spent
    members = client.zrange(keys.pool_scripts, 0, -1, withscores=True)
    assert members == [(codec.encode_pool_script(*script), 0) for script in sorted(scripts)]
    totals = {name.decode(): int(value) for name, value in client.hgetall(keys.pool_stats).items()}
    assert totals.get("count", 0) == len(txs)
    assert totals.get("vsize", 0) == sum(entry.vsize for entry in entries.values())
    assert totals.get("fees", 0) == sum(entry.fee for entry in entries.values())
    assert totals.get("size", 0) == sum(tx.size for tx in txs.values())
