"""Every key of a chain has its place in a backup: kept, made again, or of a process alone."""

from __future__ import annotations

from fnmatch import fnmatchcase

from shared.chain.kept_keys import KEPT, OF_A_PROCESS, PART, REBUILT, KeyPart, split
from shared.chain.redis_keys import Keys


def test_every_key_is_kept_or_made_again_and_never_both():
    keys = Keys("own")
    names = {value for name, value in vars(keys).items() if name != "prefix"}
    names |= {make(bytes(32)) for make in (keys.block, keys.undo, keys.layout, keys.script_coins, keys.script_history)}
    assert len(names) > 25
    for name in names:
        end = name.removeprefix(keys.prefix) + ("record" if name == keys.wallet else "")
        places = [place for place in (KEPT, REBUILT, OF_A_PROCESS) if any(fnmatchcase(end, known) for known in place)]
        assert len(places) == 1, f"{end} is in {len(places)} of KEPT, REBUILT and OF_A_PROCESS"


def test_a_large_key_is_split_between_members():
    fields = [item for number in range(PART + 1) for item in (b"f%d" % number, b"v%d" % number)]
    parts = list(split(KeyPart("name", "hash", -1, fields)))
    assert [len(part.members) for part in parts] == [2 * PART, 2]
    assert [item for part in parts for item in part.members] == fields
    assert [len(part.members) for part in split(KeyPart("name", "set", 5, fields))] == [PART, PART, 2]
