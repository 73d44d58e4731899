"""Writes the log lines of every service to stderr: text for people, or one JSON object per line for collectors.

Log with `log.info("block accepted", extra=with_fields(height=5))`: text has the fields as key=value, JSON as members.
A line about a request ends with `trace=` and its trace id (shared/trace.py). Passwords in URLs are replaced.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any

from shared import trace
from shared.config import Settings

_URL_PASSWORD = re.compile(r"""(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@]*):[^\s"']+@""")
_LEVELS_OF_LIBRARIES = {
    "pika": logging.CRITICAL,  # the bus logs each fault in one line
    "urllib3": logging.WARNING,
    "opentelemetry": logging.ERROR,  # below it are its attempts to reach the collector again
    "uvicorn.error": logging.ERROR,  # below it are the mistakes of clients
}


def redact(text: str) -> str:
    """Replace the password of every URL in the text by `***`."""
    return _URL_PASSWORD.sub(r"\g<head>:***@", text)


def with_fields(**fields: Any) -> dict[str, dict[str, Any]]:
    """Return the `extra` argument that adds key=value fields to a log line."""
    return {"fields": fields}


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO mempool: block accepted height=5`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        line = f"{_timestamp(record)} {record.levelname} {self._service}: {record.getMessage()}"
        for key, value in _fields(record).items():
            text = str(value)
            line += f" {key}={json.dumps(text) if not text or ' ' in text or chr(10) in text else text}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, service, logger, message, the fields, and error with its traceback."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= _fields(record)
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return redact(json.dumps(entry, default=str, ensure_ascii=False))


def setup(settings: Settings, service: str) -> None:
    """Send all log lines of this process to stderr, in the format and from the level of the settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service) if settings.log_format == "json" else TextFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name, level in _LEVELS_OF_LIBRARIES.items():
        logging.getLogger(name).setLevel(level)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the line's fields, and the trace id of the request that it is about."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    current = trace.trace_id(trace.current())
    return fields | {"trace": current} if current else fields


def _timestamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
