"""Esplora's resources of addresses and script hashes, with the pages and bulk calls that mempool/electrs adds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from services.explorer.api.esplora.answers import (
    AddressStats,
    BalanceEntry,
    EsploraTransaction,
    ScriptHashStats,
    Stats,
    UnspentOutput,
)
from services.explorer.api.esplora.blocks import TXS_PER_PAGE
from services.explorer.api.esplora.build import balance_entry_of, stats_of, transactions_of, unspent_of
from services.explorer.api.fields import ADDRESS_EXAMPLE, Address, HashText
from services.explorer.api.operation import (
    ADDRESS_ERRORS,
    INVALID_HEX,
    LAST_TXID,
    Body,
    Errors,
    Operation,
    Parameter,
    query,
)
from services.explorer.api.parameters import (
    read_address,
    read_count,
    read_hash,
    read_script_hash,
    read_script_ranges,
    read_texts,
)
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError, too_many_coins
from shared.crypto.address import encode_address

POOL_TXS_PER_PAGE = 50
DEFAULT_TXS = 50
"""Transactions of an answer that lists confirmed and unconfirmed ones together."""
MAX_TXS = 1_000
"""Whole transactions of one answer, where a request may say how many."""
MAX_CHANGES = 5_000
MAX_COINS = 20_000
"""Unspent outputs of one answer; electrs gives 500."""
MAX_SCRIPTS = 300
ADDRESSES_FOUND = 10


class Scripts(ABC):
    """Reads coins and transactions of scripts, which a subclass knows by one kind of name."""

    def __init__(self, chain: ChainQueries) -> None:
        self._chain = chain
        self._prefix = chain.params.address

    @abstractmethod
    def _script(self, name: str) -> bytes:
        """Return the script hash of a name; `RequestError` if it is not one."""

    def txs(self, name: str, max_txs: str | None = None, after_txid: str | None = None) -> list[EsploraTransaction]:
        """Return up to 50 unconfirmed transactions, then the newest 25 confirmed ones.

        With `max_txs` or `after_txid`: a page of both kinds in one list, after a transaction of either kind.
        """
        script = self._script(name)
        if max_txs is None and after_txid is None:
            found = self._chain.scripts.txs(script, POOL_TXS_PER_PAGE, TXS_PER_PAGE)
            return transactions_of(found, self._prefix)
        return self._page([script], max_txs, after_txid)

    def txs_of_several(
        self, body: bytes, max_txs: str | None = None, after_txid: str | None = None
    ) -> list[EsploraTransaction]:
        """Return a page of the transactions that touch any of the scripts named in the body, a JSON array."""
        names = read_texts(body)
        if len(names) > MAX_SCRIPTS:
            raise RequestError(422, "body too long")
        return self._page([self._script(name) for name in names], max_txs, after_txid)

    def _page(self, scripts: Sequence[bytes], max_txs: str | None, after_txid: str | None) -> list[EsploraTransaction]:
        count = read_count(max_txs, DEFAULT_TXS, MAX_TXS)
        found = self._chain.scripts.merged_txs(scripts, count, None if after_txid is None else read_hash(after_txid))
        if found is None:
            raise RequestError(422, "after_txid not found")
        return transactions_of(found, self._prefix)

    def chain_txs(self, name: str, last: str = "", max_txs: str | None = None) -> list[EsploraTransaction]:
        """Return 25 confirmed transactions, or `max_txs`, newest first, after the last txid of the page before."""
        script = self._script(name)
        count = read_count(max_txs, TXS_PER_PAGE, MAX_TXS)
        try:
            after = read_hash(last)
        except RequestError:
            after = None
        return transactions_of(self._chain.scripts.txs(script, 0, count, after), self._prefix)

    def pool_txs(self, name: str, max_txs: str | None = None) -> list[EsploraTransaction]:
        """Return up to 50 unconfirmed transactions, or `max_txs`, newest first."""
        count = read_count(max_txs, POOL_TXS_PER_PAGE, MAX_TXS)
        return transactions_of(self._chain.scripts.txs(self._script(name), count, 0), self._prefix)

    def summary(self, name: str, last: str = "", max_txs: str | None = None) -> list[BalanceEntry]:
        """Return the change of the balance by each confirmed transaction, newest first."""
        script = self._script(name)
        count = read_count(max_txs, MAX_CHANGES, MAX_CHANGES)
        found = self._chain.scripts.balance_changes(script, count, read_hash(last) if last else None)
        return [balance_entry_of(change) for change in found]

    def unspent(self, name: str) -> list[UnspentOutput]:
        """Return the outputs that are spent neither in a block nor in the pool; at most 20,000."""
        found = self._chain.scripts.unspent(self._script(name), MAX_COINS)
        if found is None:
            raise too_many_coins(MAX_COINS)
        return [unspent_of(coin.outpoint, coin.output.value, block) for coin, block in found]

    def _counters(self, name: str) -> tuple[Stats, Stats]:
        confirmed, unconfirmed = self._chain.scripts.stats(self._script(name))
        return stats_of(confirmed), stats_of(unconfirmed)


class Addresses(Scripts):
    """Scripts by their address."""

    def _script(self, name: str) -> bytes:
        return read_address(name, self._prefix)

    def stats(self, name: str) -> AddressStats:
        """Return the counters of an address."""
        return AddressStats(name, *self._counters(name))

    def beginning(self, start: str) -> list[Address]:
        """Return up to ten known addresses that begin with a text."""
        scripts = self._chain.scripts.within(read_script_ranges(start, self._prefix), ADDRESSES_FOUND)
        return sorted(filter(None, (encode_address(script, self._prefix) for script in scripts)))


class ScriptHashes(Scripts):
    """Scripts by their SHA-256."""

    def _script(self, name: str) -> bytes:
        return read_script_hash(name)

    def stats(self, name: str) -> ScriptHashStats:
        """Return the counters of a script hash."""
        return ScriptHashStats(name, *self._counters(name))


_MAX_TXS = query(
    "max_txs", "How many transactions, at most 1,000; a text that is not a number changes nothing", sample="25"
)
_MAX_CHANGES = query("max_txs", "How many, at most 5,000; a text that is not a number changes nothing", sample="25")
_AFTER_TXID = query("after_txid", "The last txid of the page before", HashText)
_LAST_OR_FIRST = Parameter(
    "last", "The last txid of the page before; the first page if it is not a txid", str, sample="txid"
)
_ADDRESS = Parameter("address", "Address of this chain", str, sample="address", argument="name")
_SCRIPT_HASH = Parameter(
    "scripthash", "SHA-256 of the scriptPubKey in hex, not reversed", HashText, sample="scripthash", argument="name"
)
_SCRIPT_HASH_ERRORS: Errors = {400: ("Invalid scripthash",)}
_TOO_MANY_COINS = "Too many unspent transaction outputs (>20000). Contact support to raise limits."


def _operations(
    scripts: type[Addresses] | type[ScriptHashes], group: str, name: Parameter, wrong: Errors
) -> Iterator[Operation]:
    """Yield the resources of one kind of name; `wrong` are the errors of a text that is not one."""
    path = f"/{name.name}/{{{name.name}}}"
    with_cursor: Errors = {400: (*wrong[400], INVALID_HEX)}
    yield Operation(path, scripts.stats, group, "Counters", "Zeros for one that was never used", (name,), wrong)
    yield Operation(
        f"{path}/txs",
        scripts.txs,
        group,
        "Transactions, newest first",
        "Up to 50 unconfirmed ones, then the newest 25 confirmed ones",
        (name, _MAX_TXS, _AFTER_TXID),
        {**with_cursor, 422: ("after_txid not found",)},
        about="With `max_txs` or `after_txid` it is one list of both kinds, 50 unless asked.",
    )
    yield Operation(
        f"{path}/txs/chain",
        scripts.chain_txs,
        group,
        "Confirmed transactions",
        "25 confirmed ones, or `max_txs`",
        (name, _MAX_TXS),
        wrong,
        may_end_with_slash=True,
    )
    yield Operation(
        f"{path}/txs/chain/{{last}}",
        scripts.chain_txs,
        group,
        "The page after a txid",
        "25 confirmed ones, or `max_txs`",
        (name, _LAST_OR_FIRST, _MAX_TXS),
        wrong,
    )
    yield Operation(
        f"{path}/txs/mempool",
        scripts.pool_txs,
        group,
        "Unconfirmed transactions",
        "Up to 50, or `max_txs`",
        (name, _MAX_TXS),
        wrong,
    )
    yield Operation(
        f"{path}/txs/summary",
        scripts.summary,
        group,
        "Changes of the balance",
        "Newest first",
        (name, _MAX_CHANGES),
        wrong,
    )
    yield Operation(
        f"{path}/txs/summary/{{last}}",
        scripts.summary,
        group,
        "The page after a txid",
        "Newest first",
        (name, LAST_TXID, _MAX_CHANGES),
        with_cursor,
    )
    yield Operation(
        f"{path}/utxo",
        scripts.unspent,
        group,
        "Unspent outputs",
        "The pool's included, less those that it spends, oldest first",
        (name,),
        {400: (*wrong[400], _TOO_MANY_COINS)},
        about="At most 20,000; the coins of a script that has more can be followed through `txs`.",
    )


def _bulk(
    path: str, scripts: type[Addresses] | type[ScriptHashes], group: str, example: str, wrong: Errors
) -> Operation:
    return Operation(
        path,
        scripts.txs_of_several,
        group,
        "Transactions of several, newest first",
        "One list of unconfirmed and confirmed ones",
        (_MAX_TXS, _AFTER_TXID),
        {400: (*wrong[400], INVALID_HEX, "Invalid JSON: …"), 422: ("after_txid not found", "body too long")},
        "POST",
        Body("Up to 300 of them", Annotated[list[str], Meta(max_length=300, examples=[[example]])]),
    )


_ADDRESSES, _SCRIPT_HASHES = "Addresses", "Script hashes"

ADDRESS_OPERATIONS = (
    *_operations(Addresses, _ADDRESSES, _ADDRESS, ADDRESS_ERRORS),
    _bulk("/addresses/txs", Addresses, _ADDRESSES, ADDRESS_EXAMPLE, ADDRESS_ERRORS),
    Operation(
        "/address-prefix/{start}",
        Addresses.beginning,
        _ADDRESSES,
        "Addresses that begin with a text",
        "Up to ten that the chain has paid to",
        (Parameter("start", "The text", str, sample="prefix"),),
        {400: ("Invalid address prefix: …",)},
    ),
)
SCRIPT_HASH_OPERATIONS = (
    *_operations(ScriptHashes, _SCRIPT_HASHES, _SCRIPT_HASH, _SCRIPT_HASH_ERRORS),
    _bulk("/scripthashes/txs", ScriptHashes, _SCRIPT_HASHES, "ab" * 32, _SCRIPT_HASH_ERRORS),
)
