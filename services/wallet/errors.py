"""The wallet's refusals, each with a stable `code` for programs and a text for people.

    WalletError
    ├── BadInput            a field is unusable: id, password, amount, fee rate, payee, …
    ├── UnknownWallet       no wallet has this id
    ├── WalletExists        a wallet has this id already: creating it again would replace its keys
    ├── WrongPassword
    ├── Busy                too many requests at once: passwords to check, payments of one wallet
    ├── Locked              no password was given, and the session has not unlocked the wallet
    ├── InsufficientFunds
    ├── FeeChanged          the fee differs from the fee that the user confirmed
    ├── RequestIdUsed       the request id belongs to another payment
    ├── Conflicted          the payment of this request id can no longer be mined: other transactions spent its coins
    ├── Refused             the mempool refused the transaction, with Bitcoin Core's reason
    ├── OutcomeUnknown      no verdict came in time: the transaction may still be accepted
    ├── MiningStopped       fewer blocks were mined than requested
    └── NoFaucet            no wallet to pay test coins from

Texts never contain a secret. `web.status_of` maps each error to its HTTP status.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import WarrenError


class WalletError(WarrenError):
    """Base of all refusals; `code` never changes, the text may."""

    code: str = "wallet-error"


class BadInput(WalletError):
    """A field of the request is unusable. Each kind of mistake has a code of its own."""

    def __init__(self, field: str, code: str, text: str) -> None:
        super().__init__(text)
        self.field = field
        self.code = code


class UnknownWallet(WalletError):
    """No wallet has this id."""

    code = "unknown-wallet"

    def __init__(self, wallet_id: str) -> None:
        super().__init__(f"there is no wallet {wallet_id!r}")


class WalletExists(WalletError):
    """A wallet has this id already."""

    code = "wallet-exists"

    def __init__(self, wallet_id: str) -> None:
        super().__init__(f"wallet {wallet_id!r} exists already; nothing was changed")


class WrongPassword(WalletError):
    """The password does not open this wallet."""

    code = "wrong-password"

    def __init__(self) -> None:
        super().__init__("the password is wrong")


class Busy(WalletError):
    """Too many requests of one kind are in progress."""

    code = "busy"

    def __init__(self, cause: str) -> None:
        super().__init__(f"{cause}; try again in a moment")


class Locked(WalletError):
    """The request has no password, and its session has not unlocked the wallet."""

    code = "locked"

    def __init__(self) -> None:
        super().__init__("the wallet is locked: give its password, or unlock it first")


class InsufficientFunds(WalletError):
    """The coins that may be spent now do not cover amount and fee."""

    code = "insufficient-funds"

    def __init__(self, text: str, *, needed: int, available: int) -> None:
        super().__init__(text)
        self.needed = needed
        self.available = available


class FeeChanged(WalletError):
    """The wallet's coins, and so the fee, changed after the user confirmed the payment."""

    code = "fee-changed"

    def __init__(self, fee: int) -> None:
        super().__init__("the wallet's coins have changed, and with them the fee; nothing was sent")
        self.fee = fee


class RequestIdUsed(WalletError):
    """A request with the id of another payment; `txid_hex` is that payment."""

    code = "request-id-used"

    def __init__(self, txid_hex: str) -> None:
        super().__init__(
            f"the request id is of another payment, transaction {txid_hex}; nothing was sent, use a new request id"
        )
        self.txid_hex = txid_hex


class Conflicted(WalletError):
    """The payment of a request id can no longer be mined: the transactions `conflicts` have spent its coins."""

    code = "payment-conflicted"

    def __init__(self, txid_hex: str, conflicts: Sequence[str]) -> None:
        noun = "transaction" if len(conflicts) == 1 else "transactions"
        super().__init__(
            f"the payment of this request id, transaction {txid_hex}, can no longer be mined: {noun} "
            f"{', '.join(conflicts)} spent its coins; to pay again, use a new request id"
        )
        self.txid_hex = txid_hex
        self.conflicts = tuple(conflicts)


class Refused(WalletError):
    """The mempool refused the transaction: `reason` is Bitcoin Core's string."""

    code = "refused"

    def __init__(self, txid_hex: str, reason: str, detail: str) -> None:
        super().__init__(f"the mempool refused the transaction: {reason}" + (f" ({detail})" if detail else ""))
        self.txid_hex = txid_hex
        self.reason = reason
        self.detail = detail


class OutcomeUnknown(WalletError):
    """The transaction was sent to the mempool, but no verdict came in time."""

    code = "outcome-unknown"

    def __init__(self, txid_hex: str) -> None:
        super().__init__(f"no verdict yet: transaction {txid_hex} may still be accepted, so look before you pay again")
        self.txid_hex = txid_hex


class MiningStopped(WalletError):
    """Fewer blocks were mined than requested; `blocks` has the hashes of the mined ones."""

    code = "mining-stopped"

    def __init__(self, blocks: tuple[str, ...], text: str) -> None:
        super().__init__(text)
        self.blocks = blocks


class NoFaucet(WalletError):
    """The chain has no faucet, or the faucet has no wallet to pay from."""

    code = "no-faucet"
