"""Describes the messages for programs of other people: docs/asyncapi.json, which `reference` writes.

An AsyncAPI 3 document of the bus on RabbitMQ, made of `topics` and `events`: a channel for each topic, an operation for
what Warren does with it (it receives claims and replies to them, it sends the rest), and the shape of every message.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from shared import trace
from shared.bus import events
from shared.bus.events import BY_TOPIC, DEADLINE_HEADER, REPLIES, SCHEMA_HEADER, SCHEMA_VERSION, Message, Request
from shared.bus.schema import PLACE, described_fields, schemas
from shared.bus.topics import DURABLE_QUEUES, EXCHANGE, GUESTS, PUBLISHES, REPLY_EXCHANGE, outlet

CONTENT_TYPE = "application/json"
_ABOUT = f"""The messages of Warren, a complete Bitcoin chain in four services, on RabbitMQ.

A topic is a routing key of the exchange. A user for other programs publishes to the exchange `{outlet(GUESTS)}`, which
leads on to it. Hashes are in display order (reversed hex), raw bytes are hex, amounts are
satoshis, times are seconds since 1970. A field that has its default value is left out, and a receiver ignores fields
that it does not know. Facts carry `seq`, which grows with every event; an event may arrive twice, with the same `seq`.

AMQP properties of every message are `message_id`, `type` (the topic, or the name of a reply), `content_type`,
`timestamp`, `app_id` and `delivery_mode`; a request has `reply_to` and `correlation_id`, and its reply the same
`correlation_id`."""
_AMQP = {"bindingVersion": "0.3.0"}
_CORRELATION = {
    "description": "The AMQP property `correlation_id`, which pairs a reply with its request.",
    "location": "$message.header#/correlation_id",
}
_HEADERS = {
    "type": "object",
    "description": "AMQP's headers, not its properties. Warren needs none of them in a request.",
    "properties": {
        trace.HEADER: {
            "type": "string",
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$",
            "description": "W3C Trace Context of the request that caused the message.",
        },
        SCHEMA_HEADER: {
            "type": "integer",
            "minimum": 1,
            "description": "Version of the messages that the sender knows: it grows with each new field or topic.",
        },
        DEADLINE_HEADER: {
            "type": "integer",
            "minimum": 1,
            "description": "Of a request: milliseconds since 1970 until which its requester waits for the reply.",
        },
    },
}


def document() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    channels = {topic: _channel(topic, message) for topic, message in BY_TOPIC.items()}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Warren", "version": str(SCHEMA_VERSION), "description": _ABOUT},
        "defaultContentType": CONTENT_TYPE,
        "channels": channels | {"replies": _replies()},
        "operations": {topic: _operation(topic, message) for topic, message in BY_TOPIC.items()},
        "components": {
            "messages": {message.__name__: _message(name, message) for name, message in (BY_TOPIC | REPLIES).items()},
            "schemas": _schemas() | {"Headers": _HEADERS},
        },
    }


def _channel(topic: str, message: type[Message]) -> dict[str, Any]:
    queues = [queue.name for queue in DURABLE_QUEUES if topic in queue.topics]
    about = f"Waits in {', '.join(queues)}." if queues else "Goes to every process that binds a queue to it."
    publishers = ", ".join(outlet(who) for who, topics in PUBLISHES.items() if topic in topics)
    about += f" Published to {publishers}, which leads to {EXCHANGE}."
    exchange = outlet(GUESTS) if topic in PUBLISHES[GUESTS] else EXCHANGE  # to publish to, or to bind a queue to
    return {
        "address": topic,
        "description": about,
        "messages": {message.__name__: {"$ref": f"#/components/messages/{message.__name__}"}},
        "bindings": {"amqp": _routing(exchange)},
    }


def _routing(exchange: str) -> dict[str, Any]:
    about = {"name": exchange, "type": "topic", "durable": True, "autoDelete": False}
    return _AMQP | {"is": "routingKey", "exchange": about}


def _replies() -> dict[str, Any]:
    names = [message.__name__ for message in REPLIES.values()]
    return {
        "address": None,
        "description": "Where the requester says: the AMQP property `reply_to` of its request is the routing key.",
        "bindings": {"amqp": _routing(REPLY_EXCHANGE)},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _operation(topic: str, message: type[Message]) -> dict[str, Any]:
    is_request = issubclass(message, Request)
    shown: dict[str, Any] = {
        "action": "receive" if is_request else "send",
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": _summary(message),
        "messages": [{"$ref": f"#/channels/{topic}/messages/{message.__name__}"}],
        "bindings": {"amqp": _AMQP | {"deliveryMode": 2, "mandatory": True, "timestamp": True}},
    }
    if issubclass(message, Request):
        reply = message.reply_type().__name__
        shown["reply"] = {
            "address": {"description": "The AMQP property `reply_to`.", "location": "$message.header#/reply_to"},
            "channel": {"$ref": "#/channels/replies"},
            "messages": [{"$ref": f"#/channels/replies/messages/{name}"} for name in (reply, "Failure")],
        }
    return shown


def _message(type_: str, message: type[Message]) -> dict[str, Any]:
    about = inspect.getdoc(message) or ""
    if message.needs_message_id:
        about += "\n\nIt needs a `message_id`: one that comes twice with the same id is carried out once."
    if message.expires:
        about += "\n\nOne whose `deadline` has passed is dropped."
    shown: dict[str, Any] = {
        "name": type_,
        "title": message.__name__,
        "summary": _summary(message),
        "description": about,
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": PLACE + "Headers"},
        "payload": {"$ref": PLACE + message.__name__},
        "bindings": {"amqp": _AMQP | {"messageType": type_}},
    }
    if issubclass(message, Request) or not message.topic:
        shown["correlationId"] = _CORRELATION
    return shown


def _summary(message: type) -> str:
    return (inspect.getdoc(message) or "").partition("\n")[0]


def _schemas() -> dict[str, Any]:
    """Return the schemas with the descriptions of fields that stand in the source."""
    found = schemas()
    for name, schema_of_message in found.items():
        message = getattr(events, name)
        if not issubclass(message, msgspec.Struct):
            continue
        for field, _, _, text in described_fields(message):
            schema = schema_of_message["properties"][field]
            if text and "$ref" not in schema:  # what stands beside a reference does not count
                schema["description"] = text
    return found
