"""The bases of all messages on the bus: `Message`, and `Request`, whose type says which reply it has."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Generic, Self, TypeVar, cast, get_args

import msgspec

from shared.bus.topics import Topic
from shared.errors import RequestFailed

SCHEMA_VERSION = 2
"""Number of the messages' fields as a whole: one more with every new field or topic (docs/topics.md)."""
SCHEMA_HEADER = "schema-version"
"""Name of the AMQP header that has it."""
DEADLINE_HEADER = "deadline"
"""Name of a request's AMQP header: milliseconds since 1970 until which its requester waits."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every message on the bus; a reply has no topic. A field that this version does not know is ignored."""

    topic: ClassVar[Topic | None] = None
    needs_message_id: ClassVar[bool] = False
    """Whether it must be carried out once though it may come twice, for which its message id tells it apart."""
    expires: ClassVar[bool] = False
    """Whether nobody wants it to be carried out once its requester has stopped waiting."""


Reply = TypeVar("Reply", bound=Message)


class Request(Message, Generic[Reply], frozen=True, kw_only=True, dict=True):
    """Base of the claims: messages that are answered, with a `Reply` or a `Failure`."""

    parsed: ClassVar[Any] = None
    """Within one process: what the sender has parsed of it, for the receiver not to do so again. It is never sent."""

    def with_parsed(self, parsed: object) -> Self:
        """Note what is parsed of this very message; returns the message."""
        self.__dict__["parsed"] = parsed
        return self

    @classmethod
    def reply_type(cls) -> type[Reply]:
        """Return the `Reply` that a request's class names as it derives from this one."""
        reply: type[Reply] = _reply_type(cls)
        return reply

    def check(self, reply: Message) -> Reply:
        """Return a reply that fits this request; raises `RequestFailed` for a `Failure` or another kind of reply."""
        if isinstance(reply, Failure):
            raise RequestFailed(reply.error)
        if not isinstance(reply, self.reply_type()) or not self.is_answered_by(reply):
            raise RequestFailed(f"unexpected reply to {self.topic}: {type(reply).__name__}")
        return reply

    def is_answered_by(self, reply: Reply) -> bool:
        """Tell whether a reply of the right type fits this very request."""
        return True


@cache
def _reply_type(request: type) -> type:
    (reply,) = get_args(request.__orig_bases__[0])  # type: ignore[attr-defined]
    return cast("type", reply)


class Failure(Message, frozen=True, kw_only=True):
    """Reply to a request whose message could not be decoded or crashed its handler."""

    error: str
