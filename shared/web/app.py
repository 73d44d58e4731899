"""The common part of the HTTP services: health, metrics, security headers, host check, errors as problems or pages.

`create_app` makes the Flask application that a service adds its blueprints to. Errors are JSON problem details
(RFC 9457) for programs and a readable page for browsers; a broken machine is a 503 with `Retry-After`, never a stack
trace.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from shared import metrics
from shared.config import Settings
from shared.durations import HOUR
from shared.errors import BrokerError, StoreError, WarrenError
from shared.web import formats
from shared.web.asgi import SECURITY_HEADERS
from shared.web.async_flask import AsyncFlask, NoRoomToWait
from shared.web.direct import DirectAnswer, DirectCalls, DirectRequest
from shared.web.hosts import TrustedHosts, host_name
from shared.web.origins import TrustedOrigins

log = logging.getLogger(__name__)

ReadyChecks = Mapping[str, Callable[[], str]]
"""By the name of each thing that a service needs: returns why it is of no use now, empty if all is well, or raises a
`WarrenError` that says so."""

STOPPING = "warren-stopping"
"""Key of an application's extensions: the event that the service was told to stop, which `/readyz` shows."""
_METRICS = "/metrics"
"""Answered under any `Host`: Prometheus requests it by address. Nothing on it is a secret."""
_PROBLEM = "application/problem+json"
_HERE = Path(__file__).parent


def create_app(
    import_name: str,
    settings: Settings,
    chain: str,
    ready: ReadyChecks,
    max_body: int,
    open_paths: frozenset[str] = frozenset(),
    direct: DirectCalls | None = None,
) -> AsyncFlask:
    """Return an application with `/healthz`, `/readyz`, `/metrics` and common error handling.

    `chain` is the name shown on pages; `ready` has a check for each thing the service needs; `max_body` is the largest
    request body in bytes. Pages of any site may post to `open_paths`, to others only pages that
    `TrustedOrigins` admits. `direct` answers its requests without Flask, after the same checks.
    """
    app = AsyncFlask(import_name)
    app.config["MAX_CONTENT_LENGTH"] = max_body
    loaders = [app.jinja_loader, FileSystemLoader(_HERE / "templates")]
    app.jinja_loader = ChoiceLoader([loader for loader in loaders if loader is not None])
    app.jinja_env.undefined = StrictUndefined  # a name that a template gets wrong is an error, not a blank
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(site=_site(settings, chain), active="", search_action="", search_query="")
    formats.install(app)
    app.add_url_rule(
        "/shared/<path:filename>",
        "shared_static",
        lambda filename: _shared_file(app, filename),
    )
    hosts = TrustedHosts(settings.trusted_hosts)
    origins = TrustedOrigins(settings.trusted_origins)
    app.head_checks.append(lambda head: None if head.path in open_paths else origins.refusal(head))

    @app.before_request
    def check_host() -> Response | None:
        if request.path == _METRICS or hosts.admits(request.host):
            return None
        return problem(*_unknown_host(request.host))

    @app.before_request
    def check_size() -> None:
        if (request.content_length or 0) > max_body:
            raise RequestEntityTooLarge

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(origins.cors(request.headers.get("Origin", "")))
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/healthz")
    def healthz() -> Response:
        return text("ok\n")

    stopping = app.extensions[STOPPING] = threading.Event()

    @app.get("/readyz")
    def readyz() -> Response:
        troubles = {}
        for name, check in ready.items():
            app.checks_at_work.append(name)
            try:
                troubles[name] = _trouble(check)
            finally:
                app.checks_at_work.remove(name)
        if stopping.is_set():
            troubles["running"] = "the service was told to stop"
        reasons = {name: trouble for name, trouble in troubles.items() if trouble}
        states = {name: not trouble for name, trouble in troubles.items()}
        for name, is_met in states.items():
            metrics.READY.labels(name).set(is_met)
        response = jsonify(states | ({"reasons": reasons} if reasons else {}))
        response.status_code = 503 if reasons else 200
        return response

    @app.get(_METRICS)
    def render_metrics() -> Response:
        return Response(metrics.render(), content_type=metrics.CONTENT_TYPE)

    if direct is not None:
        app.direct = _guarded(direct, app, hosts, origins, max_body)
    app.register_error_handler(Exception, handle_error)
    return app


def _guarded(
    direct: DirectCalls, app: AsyncFlask, hosts: TrustedHosts, origins: TrustedOrigins, max_body: int
) -> DirectCalls:
    """Return these calls with the checks and headers of every view: host, size, room to wait, problems, CORS."""

    async def answer(asked: DirectRequest) -> DirectAnswer:
        head = asked.head
        if not hosts.admits(head.host):
            return _direct_problem(*_unknown_host(head.host))
        try:
            if asked.length > max_body:
                raise RequestEntityTooLarge
            with app.room_to_wait(head.peer):
                found = await direct.answer(asked)
        except Exception as error:
            found = _direct_problem(*_explained(error, head.method, head.path))
        allowed = origins.cors(head.headers.get("origin", ""))
        return replace(found, headers={**found.headers, **allowed}) if allowed else found

    return DirectCalls(direct.takes, answer)


def problem(status: int, title: str, detail: str = "", hints: Sequence[str] = (), **extra: Any) -> Response:
    """Return a problem details response (RFC 9457), or a page where a browser asked for one.

    `hints`, shown on the page alone, tell a person how to go on. `extra` are further JSON members; `code`, on which
    programs can rely, is made of the title unless given.
    """
    if wants_html():
        page = render_template("problem.html", status=status, title=title, detail=detail, hints=hints)
        response = make_response(page, status)
    else:
        response = jsonify(_details(status, title, detail) | extra)
        response.status_code = status
        response.content_type = _PROBLEM
    response.headers.update(_problem_headers(status))
    return response


def text(body: str, status: int = 200) -> Response:
    """Return a plain text response."""
    return Response(body, status, content_type="text/plain; charset=utf-8")


def wants_html() -> bool:
    """Whether the client is a browser that prefers a page to data."""
    accept = request.accept_mimetypes
    return accept.quality("text/html") > accept.quality("application/json") and "text/html" in accept.values()


def handle_error(error: Exception) -> Response:
    """Return the answer to an exception of a view; applications with an API of their own wrap this."""
    match error:
        case HTTPException(code=int(code)) if code < 400 and error.response is None:
            return make_response(error.get_response())  # a redirect
        case HTTPException() if error.response is not None:
            return make_response(error.response)
    return problem(*_explained(error, request.method, request.path))


def _explained(error: Exception, method: str, path: str) -> tuple[int, str, str]:
    """Return status, title and detail of the answer to an exception, which is logged if it is ours to look into."""
    match error:
        case HTTPException():
            return error.code or 500, error.name, error.description or ""
        case NoRoomToWait():
            return 503, "Too many requests wait", str(error)
        case StoreError() | BrokerError():
            log.warning("request refused: %s", error)
            return 503, "Temporarily unavailable", str(error)
        case WarrenError():
            return 400, "Bad request", str(error)
    log.error("request failed: %s %s", method, path, exc_info=error)
    return 500, "Internal error", "the service's log has the details"


def _details(status: int, title: str, detail: str) -> dict[str, Any]:
    """Return the members that all problem details have."""
    code = title.lower().replace(" ", "-")
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}


def _problem_headers(status: int) -> dict[str, str]:
    return {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if status == 503 else {})


def _unknown_host(host: str) -> tuple[int, str, str]:
    return 421, "Unknown host", f"{host_name(host)!r} is not in WARREN_TRUSTED_HOSTS"


def _direct_problem(status: int, title: str, detail: str) -> DirectAnswer:
    body = json.dumps(_details(status, title, detail)).encode()
    return DirectAnswer(status, body, _PROBLEM, _problem_headers(status))


def _site(settings: Settings, chain: str) -> dict[str, str]:
    """Return the name and links that the frame of every page shows (templates/base.html)."""
    return {
        "chain": chain,
        "wallet_url": settings.wallet_url,
        "explorer_url": settings.explorer_url,
        "mine_url": f"{settings.rpc_url}/mine",
    }


def _trouble(check: Callable[[], str]) -> str:
    try:
        return check()
    except WarrenError as error:
        return str(error)


def _shared_file(app: Flask, filename: str) -> Response:
    from flask import send_from_directory

    response = send_from_directory(_HERE / "static", filename)
    response.cache_control.max_age = HOUR
    return response
