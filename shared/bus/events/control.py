"""The operator's orders to the node."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from shared.bus.events.message import Message, Request
from shared.bus.topics import Topic
from shared.errors import with_detail


class ControlResult(Message, frozen=True, kw_only=True):
    """Reply to `ChainControl`: done, or the reason of the refusal."""

    done: bool
    reason: str = ""
    detail: str = ""

    @property
    def refusal(self) -> str:
        """The reason and its detail, as bitcoind words them."""
        return with_detail(self.reason, self.detail)


class ControlAction(StrEnum):
    """The orders that `ChainControl` can carry."""

    INVALIDATE = "invalidate"
    """Treat `block` as breaking a rule."""
    RECONSIDER = "reconsider"
    """Take that back, for `block` and its descendants."""
    PRECIOUS = "precious"
    """Prefer `block` over others with the same work."""
    SUBMIT_HEADER = "submit-header"
    """Check `header` and remember it."""
    PRIORITISE = "prioritise"
    """Let `txid` count as paying `fee_delta` satoshis more when blocks are made."""
    SET_TIME = "set-time"
    """Let the node's clock stand at `time`; 0 lets it run again."""
    SET_MINING = "set-mining"
    """Mine unasked as `mode` says; the blocks pay `script_pubkey`."""


class ChainControl(Request[ControlResult], frozen=True, kw_only=True):
    """An order of the operator. The reply comes after the commit."""

    topic: ClassVar[Topic] = Topic.CHAIN_CONTROL
    expires: ClassVar[bool] = True
    action: ControlAction
    block: str = ""
    txid: str = ""
    header: str = ""
    """80 bytes in hex."""
    fee_delta: int = 0
    time: int = 0
    """Seconds."""
    mode: str = ""
    """`manual`, `auto`, `interval:S`, `interval:A-B`, either with `,skip-empty` behind it, or `continuous`."""
    script_pubkey: str = ""
    """In hex; empty: the script that was named last."""
