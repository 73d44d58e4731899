"""Computes the new records of the scripts that a commit touches.

Few transactions and coins of a script lie in its record; many lie in two sorted sets, of which a commit writes only
what changes. The counters alone decide which (`ScriptStats.is_packed`), so that a change that is undone leaves the very
bytes that were there before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.chain.codec import ScriptRecord, ScriptStats, encode_script_group, encode_script_record, script_group
from shared.chain.overlay import ScriptDelta
from shared.chain.records import Scored, ScriptLists
from shared.crypto.address import has_address
from shared.crypto.hashes import sha256


@dataclass(frozen=True, slots=True)
class SortedSetsChange:
    """What to add to the sorted sets of a script, and what to remove from them."""

    script_hash: bytes
    added: ScriptLists
    coins_removed: Sequence[bytes] = ()
    history_removed: Sequence[bytes] = ()


@dataclass(slots=True)
class ScriptIndexChange:
    """The change of the index of all scripts by one commit."""

    records: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    """Script hashes and new records, None for a script that no block touches any more."""
    sets: list[SortedSetsChange] = field(default_factory=list)
    sets_gone: list[bytes] = field(default_factory=list)
    """Hashes of scripts that have no sorted sets any more."""
    known: list[bytes] = field(default_factory=list)
    """ScriptPubKeys with an address that are new."""
    forgotten: list[bytes] = field(default_factory=list)
    """ScriptPubKeys with an address that no block touches any more."""


def change_scripts(
    changes: Mapping[bytes, ScriptDelta],
    read_records: Callable[[Sequence[bytes]], Sequence[ScriptRecord]],
    read_sets: Callable[[Sequence[bytes]], Iterable[ScriptLists]],
) -> ScriptIndexChange:
    """Return what a commit writes for these changes, by scriptPubKey.

    `read_records` and `read_sets` return the committed records and sorted sets of script hashes.
    """
    hashes = [sha256(script_pubkey) for script_pubkey in changes]
    found = ScriptIndexChange()
    repacked: list[tuple[bytes, ScriptDelta, ScriptStats]] = []
    for script_hash, (script_pubkey, delta), before in zip(hashes, changes.items(), read_records(hashes), strict=True):
        stats = delta.stats.added_to(before.stats)
        if bool(stats.tx_count) != bool(before.stats.tx_count) and has_address(script_pubkey):
            (found.known if stats.tx_count else found.forgotten).append(script_pubkey)
        if before.packed is None and stats.is_packed:
            found.sets_gone.append(script_hash)
            repacked.append((script_hash, delta, stats))
        elif stats.is_packed:
            found.records.append((script_hash, _packed(stats, delta, before.history(), before.coins())))
        else:
            found.records.append((script_hash, encode_script_record(stats, None)))
            found.sets.append(_sorted_sets(script_hash, before, delta))
    lists = read_sets([script_hash for script_hash, _, _ in repacked]) if repacked else ()
    for (script_hash, delta, stats), stored in zip(repacked, lists, strict=True):
        found.records.append((script_hash, _packed(stats, delta, stored.history, stored.coins)))
    return found


def change_groups(
    known: Sequence[bytes], forgotten: Sequence[bytes], read_groups: Callable[[Sequence[bytes]], Sequence[list[bytes]]]
) -> list[tuple[bytes, bytes | None]]:
    """Return the changed groups of scripts with an address and their new values, None for a group that is empty."""
    groups = list(dict.fromkeys(script_group(script) for script in (*known, *forgotten)))
    members = {group: set(stored) for group, stored in zip(groups, read_groups(groups), strict=True)}
    for script in forgotten:
        members[script_group(script)].discard(script)
    for script in known:
        members[script_group(script)].add(script)
    return [(group, encode_script_group(scripts) if scripts else None) for group, scripts in members.items()]


def _packed(stats: ScriptStats, delta: ScriptDelta, history: Scored, coins: Scored) -> bytes | None:
    """Return the record of a script that has these counters after the change, and had these lists before."""
    return encode_script_record(stats, _applied(delta, history, coins)) if stats.tx_count else None


def _sorted_sets(script_hash: bytes, before: ScriptRecord, delta: ScriptDelta) -> SortedSetsChange:
    """Return the change of a script's sorted sets; a script that was packed moves into them with all it has."""
    if before.packed is None:
        added = [(score, txid) for txid, score in delta.history.items() if score is not None]
        removed = [txid for txid, score in delta.history.items() if score is None]
        return SortedSetsChange(script_hash, ScriptLists(added, delta.coins_added), delta.coins_removed, removed)
    scores, heights = _applied(delta, before.history(), before.coins())
    return SortedSetsChange(script_hash, ScriptLists(_scored(scores), _scored(heights)))


def _applied(delta: ScriptDelta, history: Scored, coins: Scored) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """Return txid → score and outpoint → height after a change."""
    if not history:  # most scripts of a block are new
        scores = {txid: score for txid, score in delta.history.items() if score is not None}
        return scores, {outpoint: height for height, outpoint in delta.coins_added}
    scores = {txid: score for score, txid in history}
    for txid, score in delta.history.items():
        if score is None:
            scores.pop(txid, None)
        else:
            scores[txid] = score
    heights = {outpoint: height for height, outpoint in coins}
    for outpoint in delta.coins_removed:
        heights.pop(outpoint, None)
    heights.update({outpoint: height for height, outpoint in delta.coins_added})
    return scores, heights


def _scored(members: Mapping[bytes, int]) -> Scored:
    return [(score, member) for member, score in members.items()]
