"""The garbage collector of a service that serves."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from shared.process.collector import YOUNG, calm_collector, paused_collector


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_looked_at_no_more_and_new_objects_seldom() -> None:
    calm_collector()
    assert gc.get_threshold() == (YOUNG, 20, 50) == (10_000, 20, 50)
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 1_000


def test_new_cycles_are_still_collected() -> None:
    calm_collector(500)
    for _ in range(5_000):
        Cycle()
    assert sum(isinstance(item, Cycle) for item in gc.get_objects()) < 1_000


def test_a_pause_collects_nothing_and_ends_with_its_work() -> None:
    calm_collector(500)
    with paused_collector():
        for _ in range(5_000):
            Cycle()
        assert sum(isinstance(item, Cycle) for item in gc.get_objects()) >= 5_000
        with paused_collector():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_pause_ends_when_its_work_fails() -> None:
    with pytest.raises(ZeroDivisionError), paused_collector():
        print(1 / 0)
    assert gc.isenabled()
