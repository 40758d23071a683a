"""A real HTTP server that speaks API.md section 2, to see what the clients send and make of it.

Its pool is called `general`; what a command does is its name: see `Router._execute`.
"""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pythonpool import errors

TOKEN = "a-token-of-the-tests"
SESSION = "general.general-x7k2p.0123456789abcdef.0123456789abcdef0123456789abcdef"
ECHO = {
    "name": "echo",
    "description": "Give the args back.\n\nAs they came.",
    "args_schema": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["text"],
    },
    "result_schema": {},
    "timeout_seconds": 30,
    "idempotent": True,
    "streaming": False,
}
POOL = {
    "name": "general",
    "adapter": "general",
    "workers": 1,
    "available": 1,
    "busy": 0,
    "total": 1,
    "queued": 0,
    "sessions": 0,
    "ready": True,
    "conditions": [],
}
WORKER = {
    "name": "general-x7k2p",
    "state": "ready",
    "slots": 1,
    "busy": 0,
    "sessions": 0,
    "memory_bytes": 64 * 2**20,
    "calls": 3,
    "started_at": "2026-01-31T12:00:00.000Z",
    "pid": 7,
}


class Server(ThreadingHTTPServer):
    """Keeps what it was asked, and says when a caller has gone."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Router)
        self.asked: list[tuple[str, str, bytes]] = []
        self.headers_of: list[dict[str, str]] = []
        self.running = threading.Event()
        self.caller_gone = threading.Event()
        self.left = threading.Semaphore(0)
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.left.release()


class Router(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self._answer_one()

    def do_POST(self) -> None:
        self._answer_one()

    def do_DELETE(self) -> None:
        self._answer_one()

    def _answer_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body))
        self.server.headers_of.append(dict(self.headers))
        if self.path == "/version":
            self._json(200, {"version": "0.1.0"})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._problem(errors.Unauthenticated("no valid token"))
        elif "/execute/" in self.path:
            self._execute(self.path.partition("/execute/")[2].partition("?")[0], body)
        else:
            self._cold(body)

    def _cold(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        session = {"session_id": SESSION, "pool": "general", "worker": "general-x7k2p"}
        answers: dict[tuple[str, str], tuple[int, Any]] = {
            ("GET", "/v1/pools"): (200, {"items": [POOL]}),
            ("GET", "/v1/pools/general"): (200, POOL),
            ("GET", "/v1/pools/general/commands"): (200, {"items": [ECHO]}),
            ("GET", "/v1/pools/general/workers"): (200, {"items": [WORKER]}),
            ("POST", "/v1/pools/general/workers/general-x7k2p/recycle"): (202, None),
            ("POST", "/v1/sessions"): (201, session),
            ("GET", "/v1/sessions"): (200, {"items": [session], "incomplete": True}),
            ("GET", f"/v1/sessions/{SESSION}"): (200, session),
            ("DELETE", f"/v1/sessions/{SESSION}"): (204, None),
        }
        if (self.command, path) in answers:
            self._json(*answers[self.command, path])
        elif path.startswith("/v1/pools/"):
            self._problem(errors.PoolNotFound(f'no pool "{path.split("/")[3]}"'))
        else:
            self._problem(errors.SessionNotFound("no such session"))

    def _execute(self, command: str, body: bytes) -> None:
        if command == "blob":
            self._bytes(body[::-1])
        elif command == "raise":
            exception = {"type": "ValueError", "message": "no", "traceback": "…"}
            self._problem(errors.CommandFailed("ValueError: no", exception=exception))
        elif command == "full":
            self._problem(errors.ResourceExhausted("at capacity", retry_after_ms=1500))
        elif command == "wait":
            self._wait()
        elif command == "leave":
            self._json(200, None)
            self.close_connection = True
        elif command == "vanish":
            self._reset()
        elif command == "proxy":
            self._send(502, "text/html", b"<h1>Bad gateway</h1>")
        elif self.headers["Accept"] == "text/event-stream":
            self._stream(command, body)
        else:
            self._json(200, {"echoed": json.loads(body or b"{}")})

    def _stream(self, command: str, body: bytes) -> None:
        self._stream_head()
        self._event(b": still here\n\n")
        self._event(b'event: progress\nid: 1\ndata: {"fraction":0.5,"loss":1}\n\n')
        if command == "generate":
            self._event(b'event: chunk\nid: 2\ndata: "a"\n\nevent: chunk\nid: 3\ndata: "b"\n\n')
            self._event(b"event: result\nid: 4\ndata: null\n\n")
        elif command == "bytes":
            self._event(b'event: result\nid: 2\ndata: {"$bytes":"AAE="}\n\n')
        elif command == "late_error":
            problem = json.dumps(errors.Timeout("too long", outcome="unknown").to_problem())
            self._event(f"event: error\nid: 2\ndata: {problem}\n\n".encode())
        elif command == "cut":
            self._reset()
            return
        elif command != "unfinished":
            self._event(b'event: result\nid: 2\ndata: {"echoed":' + (body or b"{}") + b"}\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _wait(self) -> None:
        """A call that runs until its caller has gone."""
        if self.headers["Accept"] == "text/event-stream":
            self._stream_head()
            self._event(b'event: progress\nid: 1\ndata: {"fraction":0}\n\n')
        self.server.running.set()
        try:
            gone = self.connection.recv(1) == b""
        except ConnectionResetError:
            gone = True
        if gone:
            self.server.caller_gone.set()
        self.close_connection = True

    def _stream_head(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, text: bytes) -> None:
        self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")

    def _reset(self) -> None:
        linger_not = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_not)
        self.close_connection = True

    def _problem(self, error: errors.PythonPoolError) -> None:
        body = json.dumps(error.to_problem()).encode()
        self._send(error.status, "application/problem+json", body)

    def _json(self, status: int, value: Any) -> None:
        self._send(status, "application/json", b"" if value is None else json.dumps(value).encode())

    def _bytes(self, body: bytes) -> None:
        self._send(200, "application/octet-stream", body)

    def _send(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def spoken_router() -> Iterator[Server]:
    """The server, for the length of a test."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
