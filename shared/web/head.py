"""The head of a request: what is known of it before its body is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.web.asgi import Scope


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Method, path and headers of a request; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    host: str
    """The `Host` header without the port that every HTTP server has, or the address of this one if there is none."""
    peer: str
    """The address of the client or of its proxy."""

    @property
    def content_length(self) -> int:
        """The announced bytes of the body, 0 if none are announced."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isdecimal() else 0

    @property
    def is_plain_read(self) -> bool:
        """Whether it only reads, and has no body."""
        is_read = self.method in ("GET", "HEAD", "OPTIONS")
        return is_read and not self.headers.get("content-length") and "transfer-encoding" not in self.headers


def head_of_scope(scope: Scope) -> RequestHead:
    """Return the head of a request that came by ASGI."""
    headers = _joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    peer = scope["client"][0] if scope["client"] else ""
    return RequestHead(scope["method"], scope["path"], headers, _host(headers, *(scope["server"] or ("", 0))), peer)


def head_of_environ(environ: Mapping[str, Any]) -> RequestHead:
    """Return the head of a request that came by WSGI."""
    fields = ((key.removeprefix("HTTP_"), value) for key, value in environ.items() if key.startswith(_HEADER_KEYS))
    headers = _joined((key.replace("_", "-").lower(), value) for key, value in fields)
    host = _host(headers, environ["SERVER_NAME"], environ["SERVER_PORT"])
    return RequestHead(environ["REQUEST_METHOD"], environ["PATH_INFO"], headers, host, environ.get("REMOTE_ADDR", ""))


_HEADER_KEYS = ("HTTP_", "CONTENT_LENGTH", "CONTENT_TYPE")


def _joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the fields of a head by name, those of one name as one list (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in fields:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _host(headers: Mapping[str, str], name: str, port: object) -> str:
    host = headers.get("host")
    if host is None:
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return host.removesuffix(":80")
