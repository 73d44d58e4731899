"""A stand-in for a service: answers /readyz, and notes in a file when it starts and when it is asked to stop."""

import contextlib
import http.server
import os
import signal
import sys
import threading
from pathlib import Path

from shared.process.shutdown import ExitFlag, install


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def main(name: str, port: int, notes: str, manner: str) -> None:
    def note(what: str) -> None:
        with contextlib.suppress(OSError), Path(notes).open("a") as file:  # the disk may be full
            file.write(f"{what} {name}\n")

    stopped = ExitFlag()
    install(stopped)
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("start")
    if manner == "broken":
        print("the reason why it cannot start", file=sys.stderr)
        sys.exit(3)
    if manner == "warns":
        print("2026-01-02T03:04:05.678Z WARNING fake: something is odd", file=sys.stderr, flush=True)
        print("2026-01-02T03:04:05.678Z INFO fake: nothing to see", file=sys.stderr, flush=True)
    if port and manner != "deaf":
        server = http.server.HTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    stopped.wait()
    note("stop")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
