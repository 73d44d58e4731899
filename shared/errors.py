"""Every error that Warren raises on purpose.

    WarrenError
    ├── ConfigError            a setting is missing, unknown or out of range
    ├── DecodeError            bytes or text that are not what they should be
    ├── ValidationError        a transaction or block that breaks a rule (reason + detail)
    │   ├── BadVersionError    … a block of a version that is not allowed any more
    │   ├── ScriptError        … a script that does not succeed
    │   └── ScriptCheckError   … a transaction or block with such a script
    ├── BrokerError
    │   ├── BrokerUnavailable  the broker cannot be reached; try again later
    │   ├── Unroutable         no queue takes messages of that topic
    │   ├── RequestTimeout     nobody answered in time; the request may still take effect
    │   └── RequestFailed      the answer says that the request could not be handled
    └── StoreError
        ├── StoreUnavailable   Redis cannot be reached; the outcome of a write is unknown
        │   └── NoChain        … it can, but the writer has not written the first block yet
        ├── StaleWriter        another writer has taken over (fencing)
        ├── CommitConflict     the chain state is not the one that the commit was computed on
        └── UnsafeStore        this Redis is too old, may evict keys or is not the expected chain's

A broken rule (`ValidationError`) and a broken machine (everything else) never mix: the first is a verdict to
publish, the second a reason to stop and retry.
"""

from __future__ import annotations

from shared.reasons import Reason, script_verdict


class WarrenError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(WarrenError):
    """A setting is missing, unknown or out of range."""


class DecodeError(WarrenError):
    """Bytes or text that cannot be decoded; the message says what was being read."""


class ValidationError(WarrenError):
    """A transaction or block breaks a rule.

    `reason` is Bitcoin Core's exact string, stable enough to test against; `detail` is for people.
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
        return f"{self.reject_reason}, {self.detail}" if self.detail else self.reject_reason


class BadVersionError(ValidationError):
    """A block has a version that is not allowed any more; the reason says which, as in Core."""

    def __init__(self, version: int) -> None:
        self.version = f"0x{version & 0xFFFFFFFF:08x}"
        super().__init__(Reason.BAD_VERSION, f"rejected nVersion={self.version} block")

    @property
    def reject_reason(self) -> str:
        """The reason and the version: `bad-version(0x00000001)`."""
        return f"{self.reason}({self.version})"


class ScriptCheckError(ValidationError):
    """A transaction's input fails its script; `reason` says where it was checked, as in Core's reject strings."""

    def __init__(self, reason: Reason, vin: int, error: ScriptError) -> None:
        super().__init__(reason, f"input {vin}: {error.detail}" if error.detail else f"input {vin}")
        self.script_reason = error.reason

    @property
    def reject_reason(self) -> str:
        """The place and the script error: `mempool-script-verify-flag-failed (…)`."""
        return script_verdict(self.reason, self.script_reason)


class ScriptError(ValidationError):
    """A script does not succeed, or is of a kind that is refused."""


class BrokerError(WarrenError):
    """Something went wrong between a service and the broker."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached, or went away before it confirmed."""


class Unroutable(BrokerError):
    """No queue takes messages of this topic."""


class RequestTimeout(BrokerError):
    """Nobody answered in time. The request may still take effect."""


class RequestFailed(BrokerError):
    """The request reached its service, which could not decode it or failed while handling it."""


class StoreError(WarrenError):
    """Something went wrong between a service and Redis."""


class StoreUnavailable(StoreError):
    """Redis cannot be reached. The outcome of a write under way is unknown."""


class NoChain(StoreUnavailable):
    """The store has no chain yet: the node writes the first block when it starts."""


class StaleWriter(StoreError):
    """Another writer has taken the lease: this one must not write any more."""


class CommitConflict(StoreError):
    """The chain state is not the one that the commit was computed on."""


class UnsafeStore(StoreError):
    """This Redis must not hold a chain: it may evict keys, or holds another chain, or one in another format."""
