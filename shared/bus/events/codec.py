"""Messages to JSON bodies and back, by the `type` property that travels beside each body."""

from __future__ import annotations

import msgspec

from shared.bus.events.blocks import BlockConnected, BlockDisconnected, BlockMined
from shared.bus.events.control import ChainControl
from shared.bus.events.message import Failure, Message, Request
from shared.bus.events.mining import BlockTemplate, MineRequested, MinerReport, TemplateRequested, WorkEnded
from shared.bus.events.transactions import TxAccepted, TxRejected, TxRemoved, TxSubmitted
from shared.bus.events.wallets import AddressRequested, CoinsRequested, WalletsRequested
from shared.errors import DecodeError

BY_TOPIC: dict[str, type[Message]] = {
    cls.topic: cls
    for cls in (
        TxSubmitted,
        BlockMined,
        MineRequested,
        ChainControl,
        CoinsRequested,
        AddressRequested,
        WalletsRequested,
        TemplateRequested,
        BlockTemplate,
        WorkEnded,
        MinerReport,
        TxAccepted,
        TxRemoved,
        BlockConnected,
        BlockDisconnected,
        TxRejected,
    )
}
_requests = [cls for cls in BY_TOPIC.values() if issubclass(cls, Request)]
_replies: list[type[Message]] = [*(cls.reply_type() for cls in _requests), Failure]
REPLIES: dict[str, type[Message]] = {cls.__name__: cls for cls in _replies}

_encoder = msgspec.json.Encoder()
_decoders = {name: msgspec.json.Decoder(cls) for name, cls in (BY_TOPIC | REPLIES).items()}


def message_type(message: Message) -> str:
    """Return the value of the `type` property: the topic, or the struct's name for a reply."""
    return str(message.topic) if message.topic else type(message).__name__


def encode(message: Message) -> bytes:
    """Return the JSON body."""
    return _encoder.encode(message)


def decode(type_name: str, body: bytes) -> Message:
    """Return the message of this `type` property; `DecodeError` names the field that is wrong."""
    decoder = _decoders.get(type_name)
    if decoder is None:
        raise DecodeError(f"unknown message type {type_name!r}")
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:  # also msgspec.ValidationError
        raise DecodeError(f"{type_name}: {error}") from None
