"""Slots are held by a limited number of requests, and by no client alone."""

from __future__ import annotations

import pytest

from shared.web.slots import Slots, SlotsTaken


def test_one_client_may_hold_only_its_share() -> None:
    slots = Slots(4, 2)
    with slots.take("a"), slots.take("a"):
        with pytest.raises(SlotsTaken) as refused:
            slots.take("a")
        assert refused.value.is_share
        with slots.take("b"):
            assert slots._held == {"a": 2, "b": 1}
        with slots.take("b"), slots.take("b"):
            with pytest.raises(SlotsTaken) as refused:
                slots.take("c")
            assert not refused.value.is_share
    assert slots._free == 4


def test_clients_without_a_slot_are_forgotten() -> None:
    slots = Slots(1, 1)
    with slots.take("a"), pytest.raises(SlotsTaken):
        slots.take("b")
    with pytest.raises(ZeroDivisionError), slots.take("b"):
        _ = 1 / 0
    assert not slots._held
    assert slots._free == 1
