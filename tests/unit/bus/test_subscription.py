"""When a consumer of RabbitMQ opens a channel for a queue."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from shared.bus.rabbit.consumer import _Subscription
from shared.bus.topics import MEMPOOL_TXS


@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_channel_is_opened_on_a_connection_that_is_up_for_a_consumer_that_goes_on(
    is_cancelled: bool, is_open: bool
) -> None:
    opened: list[object] = []
    connection: Any = SimpleNamespace(is_open=is_open, channel=lambda on_open_callback: opened.append(on_open_callback))
    link: Any = None
    subscription = _Subscription(link, MEMPOOL_TXS, 10, threading.Condition())
    if is_cancelled:
        subscription.cancel()
    subscription.open(connection)
    is_opened = is_open and not is_cancelled
    assert len(opened) == int(is_opened)
    assert subscription.closed.is_set() is not is_opened
