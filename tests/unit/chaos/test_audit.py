"""The audit finds whatever was acknowledged and is not there once."""

from __future__ import annotations

from pathlib import Path

from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from tests.builders import Spendable, coinbase, key, make_block, output_of, p2wpkh, spend
from tests.chaos.audit import ANSWERED, DOUBLED, LOST, VALID, books_of, compare, failed
from tests.chaos.ledger import Answer, Claim, Entries, Entry, Ledger, Struck, read
from tests.chaos.load.coins import Purse, address_of, split

COINS = coinbase(1, p2wpkh(key("treasury")), 50_000_000, (), b"coins")


def coin(name: str) -> Spendable:
    """A coin of 50,000 satoshis for each name; nothing here looks whether it was mined."""
    tx = coinbase(1, p2wpkh(key(name)), 50_000, (), name.encode())
    return output_of(tx, 0, key(name))


def payment(payee: str, source: str = "a") -> Transaction:
    return spend([coin(source)], [TxOut(40_000, p2wpkh(key(payee)))])


def mined(*txs: Transaction, payee: str = "miner", height: int = 1) -> Block:
    return make_block(REGTEST.genesis.header, height, p2wpkh(key(payee)), txs)


def pay(payee: str, txid: str = "", status: str = "200") -> list[Entry]:
    answer = Answer(
        began=1.0, ended=2.0, id=payee, interface="pay", status=status, acknowledged=status == "200", txid=txid
    )
    return [Claim(0.5, payee, "pay", address=address_of(payee)), answer]


def mine(payee: str, *blocks: str, count: int = 1) -> list[Entry]:
    answer = Answer(began=1.0, ended=2.0, id=payee, interface="mine", status="200", acknowledged=True, blocks=blocks)
    return [Claim(0.5, payee, "mine", address=address_of(payee), blocks=count), answer]


def problems(entries: list[Entry], *blocks: Block, pool: tuple[Transaction, ...] = ()) -> dict[str, tuple[str, ...]]:
    checks = compare(Entries(entries), books_of(blocks, pool))
    found = {check.name: check.problems for check in checks if check.problems}
    assert failed(checks) == bool(found)
    return found


def test_acknowledged_transactions_may_be_in_a_block_or_in_the_pool() -> None:
    one, two = payment("one"), payment("two", "b")
    entries = [*pay("one", one.txid_hex), *pay("two", two.txid_hex)]
    assert problems(entries, mined(one), pool=(two,)) == {}


def test_an_acknowledged_transaction_that_is_nowhere_is_lost() -> None:
    tx = payment("one")
    assert problems(pay("one", tx.txid_hex), mined()) == {
        LOST: (f"pay one (answer at 2.000): transaction {tx.txid_hex}",)
    }


def test_an_acknowledged_transaction_that_pays_somebody_else_is_lost() -> None:
    tx = payment("two")
    assert problems(pay("one", tx.txid_hex), mined(tx)) == {
        LOST: (f"pay one (answer at 2.000): transaction {tx.txid_hex} does not pay {address_of('one')}",)
    }


def test_a_request_that_is_paid_by_two_transactions_is_found_acknowledged_or_not() -> None:
    one, again = payment("one"), payment("one", "b")
    for status in ("200", "504"):
        found = problems(pay("one", one.txid_hex, status), mined(one), pool=(again,))
        assert found[DOUBLED] == (f"pay one: paid by {' and '.join(sorted((one.txid_hex, again.txid_hex)))}",)


def test_a_transaction_in_a_block_and_in_the_pool_is_there_twice() -> None:
    tx = payment("one")
    found = problems(pay("one", tx.txid_hex), mined(tx), pool=(tx,))
    assert found == {DOUBLED: (f"transaction {tx.txid_hex} is in 2 places",)}


def test_an_acknowledged_block_that_left_the_chain_is_lost() -> None:
    there, gone = mined(payee="one"), mined(payee="two")
    entries = [*mine("one", there.hash_hex), *mine("two", gone.hash_hex)]
    assert problems(entries, there) == {LOST: (f"mine two (answer at 2.000): block {gone.hash_hex}",)}


def test_a_block_that_a_failed_answer_names_is_acknowledged_too() -> None:
    claim, answer = mine("one", mined(payee="one").hash_hex, count=2)
    assert isinstance(answer, Answer)
    partial = Answer(began=1.0, ended=2.0, id="one", interface="mine", status="503", final=True, blocks=answer.blocks)
    assert problems([claim, partial]).keys() == {LOST}


def test_more_blocks_than_were_asked_for_are_found() -> None:
    first, second = mined(payee="one"), mined(payee="one", height=2)
    assert problems(mine("one", first.hash_hex), first, second) == {
        DOUBLED: (f"2 blocks pay {address_of('one')}, and 1 were asked for",)
    }
    assert problems(mine("one", first.hash_hex, second.hash_hex, count=2), first, second) == {}


def test_a_claim_without_a_final_answer_is_found() -> None:
    assert problems(pay("one", status="504"))[ANSWERED] == ("pay one (answer at 2.000): 504 at last: ",)
    assert problems([Claim(0.5, "one", "pay", address=address_of("one"))])[ANSWERED] == (
        "pay one: no answer to the first attempt",
    )
    given_up = Answer(began=1.0, ended=2.0, id="one", interface="mine", status="503", final=True)
    assert problems([Claim(0.5, "one", "mine", address=address_of("one"), blocks=1), given_up]) == {}


def test_a_valid_claim_that_was_refused_is_found() -> None:
    refused = Answer(
        began=1.0, ended=2.0, id="one", interface="pay", status="400", final=True, refused=True, words="dust"
    )
    found = problems([Claim(0.5, "one", "pay", address=address_of("one")), refused])
    assert found == {VALID: ("pay one (answer at 2.000): 400: dust",)}


def test_a_ledger_reads_what_it_wrote(tmp_path: Path) -> None:
    (one, paid), (two, blocks) = pay("one", "ab"), mine("two", "cd")
    fault = Struck(began=1.0, ended=2.0, name="cut store")
    with Ledger(tmp_path / "ledger") as ledger:
        for entry in (one, paid, fault, two, blocks):
            ledger.write(entry)
    ledger.write(one)  # of a lane that was late
    found = read(tmp_path / "ledger")
    assert [*found.claims, *found.answers, *found.faults] == [one, two, paid, blocks, fault]
    assert found.acknowledged.keys() == {"one", "two"}


def test_a_purse_spends_its_coins_in_turn_and_takes_their_successors_back() -> None:
    divided, coins = split(COINS, key("treasury"), ["a", "b"])
    assert [each.outpoint.txid for each in coins] == [divided.txid] * 2
    purse = Purse(coins)
    first = purse.pay("one")
    purse.keep(first, "one")
    second, third = purse.pay("two"), purse.pay("three")
    assert [tx.inputs[0].prevout for tx in (first, second)] == [each.outpoint for each in coins]
    assert third.inputs[0].prevout.txid == first.txid
