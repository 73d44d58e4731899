"""The trace of an HTTP request: the client's `traceparent`, or a new one, for all work that the request causes.

The answer names it in the header `traceresponse` (W3C Trace Context, level 2), so that a client can find the log lines.
"""

from __future__ import annotations

from shared import trace
from shared.web.asgi import Endpoint, Message, Receive, Scope, Send, header

_REQUEST_HEADER = trace.HEADER.encode()


class Traced:
    """An ASGI application around another, which works within the trace of its request."""

    def __init__(self, app: Endpoint) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one websocket."""
        given = trace.parse(header(scope, _REQUEST_HEADER))
        method = scope.get("method", "websocket")
        about: dict[str, str | int] = {"http.request.method": method, "url.path": scope["path"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                about["http.response.status_code"] = message["status"]
                message["headers"] = [*message["headers"], (b"traceresponse", traceparent.encode())]
            await send(message)

        with trace.spans(method, trace.SpanKind.SERVER, [given], about) as (begun,):
            traceparent = begun or trace.new()
            with trace.within(traceparent):
                await self._app(scope, receive, answer)
