"""Everything that the wallet refuses, each with a stable `code` that programs can test and a text for people.

    WalletError
    ├── BadInput            a field that cannot be used: id, password, amount, fee rate, payee, …
    ├── UnknownWallet       no wallet of this id
    ├── WalletExists        creating it again would replace its keys, so it is refused
    ├── WrongPassword
    ├── TooManyAttempts     too many wrong passwords: wait `retry_after` seconds
    ├── Busy                too much of a kind is going on: checking passwords, mining
    ├── Locked              no password given, and the session has not unlocked the wallet
    ├── InsufficientFunds
    ├── FeeChanged          the fee is no longer the one that was confirmed
    ├── Refused             the mempool's verdict, with Bitcoin Core's reason
    ├── OutcomeUnknown      no verdict in time: the transaction may still be accepted
    ├── MiningStopped       fewer blocks than asked for
    └── NoFaucet            nothing to pay test coins from

Texts never hold a secret. `api` and `pages` decide which HTTP status each one is.
"""

from __future__ import annotations

from shared.errors import WarrenError


class WalletError(WarrenError):
    """Base of all refusals; `code` never changes, the text may."""

    code: str = "wallet-error"


class BadInput(WalletError):
    """A field that cannot be used. Each kind of mistake has a code of its own."""

    def __init__(self, field: str, code: str, text: str) -> None:
        super().__init__(text)
        self.field = field
        self.code = code


class UnknownWallet(WalletError):
    """There is no wallet of this id."""

    code = "unknown-wallet"

    def __init__(self, wallet_id: str) -> None:
        super().__init__(f"there is no wallet {wallet_id!r}")


class WalletExists(WalletError):
    """There is a wallet of this id already."""

    code = "wallet-exists"

    def __init__(self, wallet_id: str) -> None:
        super().__init__(f"wallet {wallet_id!r} exists already; nothing was changed")


class WrongPassword(WalletError):
    """The password does not open this wallet."""

    code = "wrong-password"

    def __init__(self) -> None:
        super().__init__("the password is wrong")


class TooManyAttempts(WalletError):
    """Too many wrong passwords for one wallet."""

    code = "too-many-attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many wrong passwords; try again in {retry_after} s")
        self.retry_after = retry_after


class Busy(WalletError):
    """Too much of one costly kind is going on at this moment."""

    code = "busy"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; try again in a moment")


class Locked(WalletError):
    """Neither a password nor an unlocked session."""

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
    """The wallet's coins changed since the payment was confirmed, and so did its fee."""

    code = "fee-changed"

    def __init__(self, fee: int) -> None:
        super().__init__("the wallet's coins have changed, and with them the fee; nothing was sent")
        self.fee = fee


class Refused(WalletError):
    """The mempool refused the transaction: `reason` is Bitcoin Core's string."""

    code = "refused"

    def __init__(self, txid_hex: str, reason: str, detail: str) -> None:
        super().__init__(f"the mempool refused the transaction: {reason}" + (f" ({detail})" if detail else ""))
        self.txid_hex = txid_hex
        self.reason = reason
        self.detail = detail


class OutcomeUnknown(WalletError):
    """The transaction was handed over, but no verdict came."""

    code = "outcome-unknown"

    def __init__(self, txid_hex: str) -> None:
        super().__init__(f"no verdict yet: transaction {txid_hex} may still be accepted, so look before you pay again")
        self.txid_hex = txid_hex


class MiningStopped(WalletError):
    """Fewer blocks were mined than asked for."""

    code = "mining-stopped"

    def __init__(self, blocks: tuple[str, ...], text: str) -> None:
        super().__init__(text)
        self.blocks = blocks


class NoFaucet(WalletError):
    """There is no faucet, or no wallet that it could pay from."""

    code = "no-faucet"
