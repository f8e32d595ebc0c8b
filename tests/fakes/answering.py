"""An HTTP server on loopback, in a thread, that gives one answer to everything or one for each path."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def answering(status: int, body: bytes | Mapping[str, bytes]) -> Iterator[str]:
    """Its URL. A path that has no answer gets 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = body if isinstance(body, bytes) else body.get(self.path)
            self.send_response(404 if told is None else status)
            self.end_headers()
            self.wfile.write(told or b"")

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
