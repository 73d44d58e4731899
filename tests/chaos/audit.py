"""Compares what was acknowledged with what the chain and the pool have in the end. Pure: reads nothing by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shared.consensus.params import REGTEST
from shared.crypto.address import encode_address
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from tests.chaos.ledger import Answer, Claim, Entries

LOST = "nothing acknowledged is lost"
DOUBLED = "nothing is there twice"
VALID = "nothing valid is refused"
ANSWERED = "everything is answered in the end"


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must be so, and each case in which it is not."""

    name: str
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Books:
    """Where transactions are and whom they pay."""

    places: Counter[str] = field(default_factory=Counter)
    """How often a transaction is in blocks or in the pool, by txid."""
    payments: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Txids of the transactions that pay an address."""
    mined: Counter[str] = field(default_factory=Counter)
    """How many blocks pay an address."""
    hashes: set[str] = field(default_factory=set)
    """Of the blocks of the best chain."""


def books_of(blocks: Iterable[Block], pool: Iterable[Transaction]) -> Books:
    """Return the books of a chain and its pool."""
    books = Books()
    for block in blocks:
        coinbase, *others = block.transactions
        books.hashes.add(block.hash_hex)
        books.mined.update(_addresses(coinbase))
        for tx in others:
            _enter(books, tx)
    for tx in pool:
        _enter(books, tx)
    return books


def compare(entries: Entries, books: Books) -> list[Check]:
    """Return the checks of what was acknowledged, and of all other claims: they may be there once, or not at all."""
    acknowledged = entries.acknowledged
    lost: list[str] = []
    doubled = [f"transaction {txid} is in {count} places" for txid, count in books.places.items() if count > 1]
    for claim in entries.claims:
        if claim.address and not claim.blocks:
            doubled += _paid_twice(claim, books)
            if claim.id in acknowledged:
                lost += _lost_payment(claim, acknowledged[claim.id], books)
    for answer in entries.answers:
        lost += [f"{_about(answer)}: block {block}" for block in answer.blocks if block not in books.hashes]
    doubled += _mined_too_often(entries.claims, books)
    refused = [f"{_about(answer)}: {answer.status}: {answer.words}" for answer in entries.answers if answer.refused]
    return [
        Check(LOST, tuple(lost)),
        Check(DOUBLED, tuple(doubled)),
        Check(VALID, tuple(refused)),
        Check(ANSWERED, tuple(_unanswered(entries))),
    ]


def _enter(books: Books, tx: Transaction) -> None:
    books.places[tx.txid_hex] += 1
    for address in _addresses(tx):
        books.payments[address].add(tx.txid_hex)


def _addresses(tx: Transaction) -> set[str]:
    found = (encode_address(output.script_pubkey, REGTEST.address) for output in tx.outputs)
    return {address for address in found if address is not None}


def _paid_twice(claim: Claim, books: Books) -> list[str]:
    txids = books.payments.get(claim.address, ())
    return [f"{claim.interface} {claim.id}: paid by {' and '.join(sorted(txids))}"] if len(txids) > 1 else []


def _mined_too_often(claims: Sequence[Claim], books: Books) -> list[str]:
    wanted = Counter[str]()
    for claim in claims:
        wanted[claim.address] += claim.blocks
    return [
        f"{books.mined[address]} blocks pay {address}, and {count} were asked for"
        for address, count in wanted.items()
        if count and books.mined[address] > count
    ]


def _lost_payment(claim: Claim, answer: Answer, books: Books) -> list[str]:
    if answer.txid not in books.places:
        return [f"{_about(answer)}: transaction {answer.txid}"]
    if answer.txid not in books.payments.get(claim.address, ()):
        return [f"{_about(answer)}: transaction {answer.txid} does not pay {claim.address}"]
    return []


def _unanswered(entries: Entries) -> list[str]:
    last = {answer.id: answer for answer in entries.answers}
    problems = []
    for claim in entries.claims:
        answer = last.get(claim.id)
        if answer is None:
            problems.append(f"{claim.interface} {claim.id}: no answer to the first attempt")
        elif not answer.acknowledged and not answer.final:
            problems.append(f"{_about(answer)}: {answer.status} at last: {answer.words}")
    return problems


def _about(answer: Answer) -> str:
    return f"{answer.interface} {answer.id} (answer at {answer.ended:.3f})"


def failed(checks: Sequence[Check]) -> bool:
    """Whether any check found a problem."""
    return any(check.problems for check in checks)
