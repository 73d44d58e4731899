import json

import pytest

from services.explorer.live.websocket.subscription import MAX_TRACKED, Subscription, read_message
from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from tests.builders import key, p2wpkh

TXID = "ab" * 31 + "cd"
SCRIPT = p2wpkh(key("alice"))
ADDRESS = encode_address(SCRIPT, REGTEST.address)


def say(subscription=None, **message):
    text = json.dumps({name.replace("_", "-"): value for name, value in message.items()})
    return read_message(text, subscription or Subscription(), REGTEST.address)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "1", '"x"', "null", "{", "[" * 50_000, '{"a":' * 5_000, '{"a":1e999999}']
)
def test_what_is_no_object_is_an_error_and_changes_nothing(text):
    subscription = Subscription(mempool=True)
    spoken = read_message(text, subscription, REGTEST.address)
    assert spoken.subscription == subscription
    assert (spoken.init, spoken.ping, spoken.answers) == (False, False, frozenset())


def test_init_and_ping_are_answered_at_once():
    assert say(action="init").init
    assert say(action="ping").ping
    assert say(action="dance").errors == {"error": "unknown action"}


def test_want_replaces_what_was_wanted_and_answers_what_is_new():
    first = say(action="want", data=["blocks", "stats", "nonsense", 5, None])
    assert first.subscription.wants == first.now == {"blocks", "stats"}
    second = say(first.subscription, action="want", data=["stats", "mempool-blocks", "live-2h-chart"])
    assert second.subscription.wants == {"stats", "mempool-blocks", "live-2h-chart"}
    assert second.now == {"mempool-blocks", "live-2h-chart"}
    assert say(second.subscription, action="want", data=[]).subscription.wants == set()
    assert say(second.subscription, action="want", data="blocks").errors == {"error": "want needs a list as data"}


def test_a_transaction_is_tracked_until_stop():
    spoken = say(track_tx=TXID, watch_mempool=True)
    assert spoken.subscription.tx == bytes.fromhex(TXID)[::-1]
    assert (spoken.answers, spoken.watch) == ({"track-tx"}, True)
    assert say(spoken.subscription, track_tx="stop").subscription.tx is None
    assert say(spoken.subscription, action="ping").subscription.tx == spoken.subscription.tx


@pytest.mark.parametrize("value", ["xyz", "ab", 5, [TXID], {"a": 1}])
def test_what_is_no_txid_is_an_error_and_the_tracking_stays(value):
    before = say(track_tx=TXID).subscription
    spoken = say(before, track_tx=value)
    assert list(spoken.errors) == ["track-tx-error"]
    assert spoken.subscription == before
    assert spoken.answers == set()


def test_addresses_public_keys_and_scripts_become_scripts():
    public_key = key("bob").public_key.compressed
    spoken = say(track_address=ADDRESS, track_addresses=[ADDRESS, public_key.hex()], track_scriptpubkeys=["51", "6a00"])
    assert spoken.subscription.address == (ADDRESS, SCRIPT)
    assert spoken.subscription.addresses == {ADDRESS: SCRIPT, public_key.hex(): b"\x21" + public_key + b"\xac"}
    assert spoken.subscription.script_pubkeys == {SCRIPT, b"\x21" + public_key + b"\xac", b"\x51", b"\x6a\x00"}
    assert say(track_scriptpubkey="51").subscription.scripts == {"51": b"\x51"}
    assert say(spoken.subscription, track_addresses="stop", track_scriptpubkeys=None).subscription.script_pubkeys == {
        SCRIPT
    }


@pytest.mark.parametrize(
    ("name", "item"), [("track_txs", TXID), ("track_addresses", ADDRESS), ("track_scriptpubkeys", "51")]
)
def test_only_so_many_may_be_tracked(name, item):
    assert say(**{name: [item] * MAX_TRACKED}).errors == {}
    [error] = say(**{name: [item] * (MAX_TRACKED + 1)}).errors.values()
    assert f"a maximum of {MAX_TRACKED}" in error


@pytest.mark.parametrize(
    "message",
    [
        {"track_address": "nonsense"},
        {"track_address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"},
        {"track_addresses": [ADDRESS, 5]},
        {"track_addresses": 5},
        {"track_scriptpubkeys": ["5"]},
        {"track_scriptpubkeys": ["51" * 10_001]},
        {"track_txs": ["x"]},
        {"track_mempool": "yes"},
        {"track_mempool_txids": 1},
    ],
)
def test_a_value_that_is_wrong_is_named_by_its_key(message):
    [name] = message
    spoken = say(**message)
    assert list(spoken.errors) == [f"{name.replace('_', '-')}-error"]
    assert spoken.subscription == Subscription()


def test_a_projected_block_is_followed_until_another_value_comes():
    assert say(track_mempool_block=0).subscription.mempool_block == 0
    for value in (-1, 8, "0", None, True, 1.5):
        assert say(Subscription(mempool_block=3), track_mempool_block=value).subscription.mempool_block is None


def test_replacements_are_followed_of_all_kinds_or_one():
    assert say(track_rbf="all").subscription.rbf == "all"
    assert say(track_rbf="fullRbf").subscription.rbf == "fullRbf"
    assert say(Subscription(rbf="all"), track_rbf="stop").subscription.rbf == ""
