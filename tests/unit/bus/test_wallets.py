"""Asking the wallet service which wallets there are."""

from __future__ import annotations

import pytest

from shared.bus.events import MineResult, WalletName, WalletsRequested, WalletsResult
from shared.bus.wallets import ask_wallets, offered_wallets
from shared.errors import BrokerUnavailable, RequestFailed
from shared.process.waiting import run
from tests.unit.bus.fake_broker import FakeBroker

WALLETS = (WalletName(id="creator", address="a"), WalletName(id="w", address="b"))


@pytest.fixture
def broker() -> FakeBroker:
    broker = FakeBroker()
    broker.answers = {WalletsRequested: lambda message: WalletsResult(wallets=WALLETS)}
    return broker


def test_the_wallets_are_those_that_the_service_names(broker: FakeBroker) -> None:
    assert run(ask_wallets(broker, 1.0)) == run(offered_wallets(broker)) == WALLETS


def test_an_answer_of_another_kind_is_no_list_of_wallets(broker: FakeBroker) -> None:
    broker.answers = {WalletsRequested: lambda message: MineResult(hashes=())}
    with pytest.raises(RequestFailed, match=r"unexpected reply to wallets\.requested: MineResult"):
        run(ask_wallets(broker, 1.0))
    assert run(offered_wallets(broker)) == ()


def test_without_an_answer_a_form_offers_none(broker: FakeBroker) -> None:
    broker.away = True
    with pytest.raises(BrokerUnavailable):
        run(ask_wallets(broker, 1.0))
    assert run(offered_wallets(broker)) == ()
