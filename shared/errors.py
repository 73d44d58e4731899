"""Every error that Warren raises on purpose.

    WarrenError
    ├── ConfigError            a setting is missing, unknown or out of range
    ├── DecodeError            bytes or text are malformed
    ├── ValidationError        a transaction or block breaks a rule (reason + detail)
    │   ├── BadVersionError    a block has a version that is no longer allowed
    │   ├── ScriptError        a script fails
    │   └── ScriptCheckError   a transaction or block has an input whose script fails
    ├── BrokerError
    │   ├── BrokerUnavailable  the broker cannot be reached; try again later
    │   ├── Unroutable         no queue takes messages of this topic
    │   ├── RequestTimeout     no reply came in time; the request may still take effect
    │   └── RequestFailed      the reply says that the request could not be handled
    └── StoreError
        ├── StoreUnavailable   Redis is away or refuses to work; the outcome of a write is unknown
        │   └── NoChain        Redis has no chain: the writer has not written the first block yet
        ├── StaleWriter        another writer has taken over (fencing)
        ├── CommitConflict     the chain state has changed since the commit was computed
        └── UnsafeStore        Redis is too old, may evict keys or holds another chain

An invalid transaction or block (`ValidationError`) and a technical fault (any other error) never mix: the first is a
verdict to publish, the second a reason to stop and retry.
"""

from __future__ import annotations

from shared.reasons import Reason, script_verdict


def with_detail(reason: str, detail: str) -> str:
    """Return a refusal as bitcoind words it: the reason, and after a comma the detail if there is one."""
    return f"{reason}, {detail}" if detail else reason


class WarrenError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(WarrenError):
    """A setting is missing, unknown or out of range."""


class DecodeError(WarrenError):
    """Bytes or text cannot be decoded; the message names the field."""


class ValidationError(WarrenError):
    """A transaction or block breaks a rule.

    `reason` is Bitcoin Core's exact string, for programs to compare; `detail` is for people.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    @property
    def reject_reason(self) -> str:
        """The reason as clients see it."""
        return str(self.reason)

    def __str__(self) -> str:
        return with_detail(self.reject_reason, self.detail)


class BadVersionError(ValidationError):
    """A block has a version that is no longer allowed; the reject reason contains the version, as in Core."""

    def __init__(self, version: int) -> None:
        self.version = f"0x{version & 0xFFFFFFFF:08x}"
        super().__init__(Reason.BAD_VERSION, f"rejected nVersion={self.version} block")

    @property
    def reject_reason(self) -> str:
        """The reason and the version: `bad-version(0x00000001)`."""
        return f"{self.reason}({self.version})"


class ScriptCheckError(ValidationError):
    """The script of an input fails; `reason` says whether pool or block checked it, as in Core's reject strings."""

    def __init__(self, reason: Reason, vin: int, error: ScriptError) -> None:
        super().__init__(reason, f"input {vin}: {error.detail}" if error.detail else f"input {vin}")
        self.script_reason = error.reason

    @property
    def reject_reason(self) -> str:
        """The reason and the script error: `mempool-script-verify-flag-failed (…)`."""
        return script_verdict(self.reason, self.script_reason)


class ScriptError(ValidationError):
    """A script fails or is of a forbidden form."""


class BrokerError(WarrenError):
    """Base of the faults between a service and the broker."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached, or the connection was lost before it confirmed."""


class Unroutable(BrokerError):
    """No queue takes messages of this topic."""


class RequestTimeout(BrokerError):
    """No reply came in time. The request may still take effect."""


class RequestFailed(BrokerError):
    """The service that received the request could not decode it or failed while handling it."""


class StoreError(WarrenError):
    """Base of the faults between a service and Redis."""


class StoreUnavailable(StoreError):
    """Redis is away or refuses to work for now. The outcome of a write in progress is unknown."""


class NoChain(StoreUnavailable):
    """The store has no chain yet: the node writes the first block when it starts."""


class StaleWriter(StoreError):
    """Another writer has taken the lease: this process must not write any more."""


class CommitConflict(StoreError):
    """The chain state has changed since the commit was computed."""


class UnsafeStore(StoreError):
    """This Redis must not hold the chain: it is too old, may evict keys, or holds another chain or another format."""
