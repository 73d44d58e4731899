"""The wallet service's own records in Redis, under `wallet:` of the chain's keys.

| key | type | content |
|---|---|---|
| `wallet:ids` | zset | wallet ids by time of creation |
| `wallet:record:<id>` | string | JSON: sealed seed, account's public key, time; written once, never replaced |
| `wallet:next:<id>` | hash | `receive`, `change`: keys of each branch in use · `change_by`: sole send to use the last |
| `wallet:sends:<id>` | hash | txid → JSON: a payment that this wallet sent, with its outcome |
| `wallet:unmined:<id>` | zset | txids of its sends that are in no block, by time |
| `wallet:request:<id>:<request id>` | string | raw transaction of the payment for a request id; kept a day |
| `wallet:senders` | hash | txid → wallet id, for every send |
| `wallet:open` | set | txids of sends whose outcome can still change |
| `wallet:bootstrap` | string | `done` when the first coins are mined |
| `wallet:bootstrap:lease` | string | the instance that mines them |

Each change is one Redis transaction or one Lua script. All methods raise `StoreUnavailable` when Redis is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import msgspec
import redis

from services.wallet.errors import UnknownWallet, WalletExists
from services.wallet.keys.keystore import Sealed
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.durations import DAY
from shared.errors import StoreUnavailable

_TRIES = 50
_BEGIN_SEND = (Path(__file__).parent / "lua" / "begin_send.lua").read_text(encoding="utf-8")
REQUEST_SECONDS = DAY
"""Time for which a payment's request id is remembered."""


class SendStatus(StrEnum):
    """The state of a transaction that this wallet sent."""

    PENDING = "pending"
    """Submitted to the mempool, no verdict yet: it may still be accepted."""
    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    DROPPED = "dropped"
    """It left the pool without being mined; `why` has the reason."""


class Begun(Enum):
    """The result of `begin_send`."""

    NEW = "new"
    SAME_REQUEST = "same request"
    """A payment for this request id exists already."""
    SAME_TX = "same transaction"
    """Another payment of this amount to this payee from these coins is this very transaction."""
    DROPPED_TX = "dropped transaction"
    """So is one that left the pool, and that its own request may bring back."""


class Record(msgspec.Struct, frozen=True):
    """The part of a wallet that never changes."""

    sealed: Sealed
    xpub: str
    created: int
    """Seconds since 1970."""


class Send(msgspec.Struct, frozen=True, omit_defaults=True):
    """One payment that a wallet made; amounts in satoshis, time in seconds since 1970."""

    to: str
    amount: int
    fee: int
    change: int
    time: int
    status: SendStatus = SendStatus.PENDING
    height: int | None = None
    why: str = ""
    terms: str = ""
    """The payment that was asked for with a request id: another payment with this id is refused."""
    seq: int = 0
    """The number of the chain's last fact when the payment was made."""
    traceparent: str = ""
    """Of the request for the payment: what becomes of it later is logged with the same trace."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """The request id of a payment, to be paid once, and the raw transaction that pays it."""

    id: str
    raw_tx: bytes


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet's record and the number of keys in use on each branch."""

    id: str
    record: Record
    receive_count: int
    change_count: int


class WalletStore:
    """Reads and writes the wallet service's records."""

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._redis: Any = client
        self._prefix = keys.wallet
        self._ids = self._prefix + "ids"
        self._senders = self._prefix + "senders"
        self._open = self._prefix + "open"
        self._bootstrap = self.writable_key = self._prefix + "bootstrap"
        self._lease = self._prefix + "bootstrap:lease"

    def _of(self, kind: str, wallet_id: str) -> str:
        return f"{self._prefix}{kind}:{wallet_id}"

    # ── wallets ─────────────────────────────────────────────────────────────────────────────────────────────────

    def ids(self) -> list[str]:
        """Return all wallet ids, the oldest first."""
        return [name.decode() for name in self._redis.zrange(self._ids, 0, -1)]

    def exists(self, wallet_id: str) -> bool:
        """Whether a wallet has this id."""
        return bool(self._redis.exists(self._of("record", wallet_id)))

    def create(self, wallet_id: str, record: Record) -> None:
        """Write a new wallet with its first address; if the id is taken, raise `WalletExists` and write nothing."""
        record_key = self._of("record", wallet_id)

        def write(pipe: Any) -> None:
            if pipe.exists(record_key):
                raise WalletExists(wallet_id)
            pipe.multi()
            pipe.set(record_key, msgspec.json.encode(record), nx=True)
            pipe.hset(self._of("next", wallet_id), mapping={"receive": 1, "change": 0})
            pipe.zadd(self._ids, {wallet_id: record.created})

        self._atomically(write, record_key)

    def load(self, wallet_id: str) -> Wallet:
        """Return a wallet; `UnknownWallet` if there is none."""
        wallets = self.load_many([wallet_id])
        if not wallets:
            raise UnknownWallet(wallet_id)
        return wallets[0]

    def load_many(self, wallet_ids: Sequence[str]) -> list[Wallet]:
        """Return the wallets that exist among these, in order."""
        pipe = self._redis.pipeline(transaction=False)  # a full Redis refuses reads within a transaction
        for wallet_id in wallet_ids:
            pipe.get(self._of("record", wallet_id))
            pipe.hmget(self._of("next", wallet_id), "receive", "change")
        replies = iter(pipe.execute())
        wallets = []
        for wallet_id, data, (receive, change) in zip(wallet_ids, replies, replies, strict=True):
            if data is not None:
                record = msgspec.json.decode(data, type=Record)
                wallets.append(Wallet(wallet_id, record, int(receive), int(change)))
        return wallets

    def add_receive_key(self, wallet_id: str) -> int:
        """Take the next receive address into use and return its index."""
        pipe = self._redis.change()
        pipe.hincrby(self._of("next", wallet_id), "receive", 1)
        (count,) = pipe.execute()
        return int(count) - 1

    # ── sends ───────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_send(
        self, wallet_id: str, txid: bytes, send: Send, change_count: int, request: PaymentRequest | None = None
    ) -> Begun:
        """Record a send before it is submitted to the mempool; from now on `change_count` change keys are in use.

        Writes nothing unless the result is `NEW`.
        """
        kinds = ("next", "sends", "unmined")
        keys = [*(self._of(kind, wallet_id) for kind in kinds), self._senders, self._open]
        args: list[Any] = [wallet_id, txid, msgspec.json.encode(send), send.time, send.change, change_count]
        if request:
            keys.append(self._request(wallet_id, request.id))
            args += [request.raw_tx, REQUEST_SECONDS]
        pipe = self._redis.change()
        pipe.eval(_BEGIN_SEND, len(keys), *keys, *args)
        (begun,) = pipe.execute()
        return Begun(begun.decode())

    def requested(self, wallet_id: str, request_id: str) -> bytes | None:
        """Return the raw transaction of the payment for a request id, None without one."""
        found: bytes | None = self._redis.get(self._request(wallet_id, request_id))
        return found

    def _request(self, wallet_id: str, request_id: str) -> str:
        return f"{self._of('request', wallet_id)}:{request_id}"

    def forget_send(self, wallet_id: str, txid: bytes, request: PaymentRequest | None = None) -> None:
        """Undo `begin_send` for a refused transaction.

        A change key that another send uses stays in use, and so does a request id that has another payment by now.
        """
        next_key = self._of("next", wallet_id)
        request_key = self._request(wallet_id, request.id) if request else ""

        def write(pipe: Any) -> None:
            has_last_key = pipe.hget(next_key, "change_by") == txid
            has_request = request is not None and pipe.get(request_key) == request.raw_tx
            pipe.multi()
            if has_last_key:
                pipe.hincrby(next_key, "change", -1)
                pipe.hdel(next_key, "change_by")
            pipe.hdel(self._of("sends", wallet_id), txid)
            pipe.zrem(self._of("unmined", wallet_id), txid)
            pipe.hdel(self._senders, txid)
            pipe.srem(self._open, txid)
            if has_request:
                pipe.delete(request_key)

        self._atomically(write, next_key, *([request_key] if request else []))

    def update_sends(self, sends: Mapping[bytes, tuple[str, Send]], closed: Iterable[bytes] = ()) -> None:
        """Write the new state of sends (txid → wallet id and send); `closed` are the txids whose outcome is final."""
        pipe = self._redis.pipeline()
        for txid, (wallet_id, send) in sends.items():
            self._write_send(pipe, wallet_id, txid, send)
        for txid in closed:
            pipe.srem(self._open, txid)
        pipe.execute()

    def _write_send(self, pipe: Any, wallet_id: str, txid: bytes, send: Send) -> None:
        pipe.hset(self._of("sends", wallet_id), txid, msgspec.json.encode(send))
        if send.status is SendStatus.CONFIRMED:
            pipe.zrem(self._of("unmined", wallet_id), txid)
        else:
            pipe.zadd(self._of("unmined", wallet_id), {txid: send.time})
        pipe.sadd(self._open, txid)

    def sends(self, wallet_id: str, txids: Sequence[bytes]) -> dict[bytes, Send]:
        """Return the wallet's sends among these transactions."""
        return {txid: send for txid, (_, send) in self._sends([(txid, wallet_id) for txid in txids]).items()}

    def unmined_sends(self, wallet_id: str, limit: int) -> dict[bytes, Send]:
        """Return the newest sends that are in no block."""
        txids = self._redis.zrevrange(self._of("unmined", wallet_id), 0, limit - 1)
        return self.sends(wallet_id, txids)

    def sends_by_txid(self, txids: Sequence[bytes]) -> dict[bytes, tuple[str, Send]]:
        """Return the sends of all wallets among these transactions: txid → wallet id and send."""
        if not txids:
            return {}
        owners = self._redis.hmget(self._senders, txids)
        return self._sends([(txid, owner.decode()) for txid, owner in zip(txids, owners, strict=True) if owner])

    def open_sends(self) -> dict[bytes, tuple[str, Send]]:
        """Return the sends of all wallets whose outcome can still change."""
        txids = sorted(self._redis.smembers(self._open))
        return self.sends_by_txid(txids)

    def _sends(self, wanted: Sequence[tuple[bytes, str]]) -> dict[bytes, tuple[str, Send]]:
        pipe = self._redis.pipeline(transaction=False)
        for txid, wallet_id in wanted:
            pipe.hget(self._of("sends", wallet_id), txid)
        found = pipe.execute()
        return {
            txid: (wallet_id, msgspec.json.decode(data, type=Send))
            for (txid, wallet_id), data in zip(wanted, found, strict=True)
            if data is not None
        }

    # ── bootstrap ───────────────────────────────────────────────────────────────────────────────────────────────

    def is_bootstrapped(self) -> bool:
        """Whether the first start is complete."""
        return bool(self._redis.exists(self._bootstrap))

    def set_bootstrapped(self) -> None:
        """Record that the first start is complete."""
        self._redis.set(self._bootstrap, "done")

    def hold_bootstrap(self, owner: str, seconds: float) -> bool:
        """Take or renew the lease on the first start for this owner; return False while another owner has it."""
        milliseconds = int(seconds * 1000)
        if self._redis.set(self._lease, owner, nx=True, px=milliseconds):
            return True
        if self._redis.get(self._lease) != owner.encode():
            return False
        self._redis.pexpire(self._lease, milliseconds)
        return True

    def release_bootstrap(self, owner: str) -> None:
        """Release the owner's lease."""
        if self._redis.get(self._lease) == owner.encode():
            self._redis.delete(self._lease)

    def _atomically(self, write: Callable[[Any], None], *watched: str) -> None:
        """Run `write` as one Redis transaction; repeat it if a watched key changed meanwhile."""
        for _ in range(_TRIES):
            with self._redis.change() as pipe:
                try:
                    pipe.watch(*watched)
                    write(pipe)
                    pipe.execute()
                except redis.WatchError:
                    continue
                return
        raise StoreUnavailable(f"{watched[0]} changes faster than it can be written")
