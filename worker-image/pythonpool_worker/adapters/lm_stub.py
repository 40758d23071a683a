"""An offline language model behind the chat-completions API that OpenAI-compatible clients speak.

`python -m pythonpool_worker.adapters.lm_stub --port N` serves it until Ctrl-C; the optimizer
adapter starts it inside its own process. What it answers is `lm_answers.answer`, documented
there: the same prompt always gets the same answer, and nothing leaves the machine.

Requests: `POST /v1/chat/completions` (no streams), `GET /v1/models`. Any API key is taken.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from pythonpool_worker.adapters.lm_answers import Message, answer

MODEL = "pythonpool-stub"
MAX_BODY_BYTES = 4 * 1024 * 1024
_IDLE_SECONDS = 60.0


class LmStub(ThreadingHTTPServer):
    """The server. Listens once it is made; `start` answers from a thread of its own.

    Args:
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Attributes:
        url: what clients call `api_base`: `http://127.0.0.1:PORT/v1`.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Requests)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self._counting = threading.Lock()
        self._calls = 0

    @property
    def calls(self) -> int:
        """How many completions were answered so far."""
        return self._calls

    def count(self) -> int:
        """Count one completion; returns its number, from 1."""
        with self._counting:
            self._calls += 1
            return self._calls

    def start(self) -> None:
        """Answer requests in a daemon thread until `stop`."""
        threading.Thread(target=self.serve_forever, name="lm-stub", daemon=True).start()

    def stop(self) -> None:
        """Stop answering and close the port; only after `start`."""
        self.shutdown()
        self.server_close()


class _Refused(Exception):
    """A request that is answered with an error of the API's own form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    # Head and body of an answer leave in one segment; without this each call waits 40 ms for
    # the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        try:
            body = self._body()
            if self.path.rstrip("/") != "/v1/chat/completions":
                raise _Refused(404, f"no such path: {self.path}")
            self._reply(200, self._completion(body))
        except _Refused as refused:
            self._reply(refused.status, {"error": {"message": str(refused), "type": "invalid"}})

    def do_GET(self) -> None:
        if self.path.rstrip("/") == "/v1/models":
            self._reply(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        else:
            self._reply(404, {"error": {"message": f"no such path: {self.path}"}})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """One line per call would drown the log of the adapter."""

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise _Refused(413, f"Content-Length must be 0 to {MAX_BODY_BYTES}, not {length!r}")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise _Refused(400, f"the body must be JSON: {error}") from error
        if not isinstance(body, dict):
            raise _Refused(400, "the body must be a JSON object")
        return body

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("stream"):
            raise _Refused(400, "stream must be false: this model does not stream")
        messages = parse_messages(body.get("messages"))
        text = answer(messages)
        # A word counts as a token: enough for the sums of usage to mean something.
        asked, told = (len(part.split()) for part in (" ".join(m.content for m in messages), text))
        number = cast("LmStub", self.server).count()
        return {
            "id": f"stub-{number}",
            "object": "chat.completion",
            "created": 0,
            "model": str(body.get("model", MODEL)),
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": told,
                "total_tokens": asked + told,
            },
        }

    def _reply(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def parse_messages(value: object) -> list[Message]:
    """The messages of a request; text parts of a content list are joined.

    Raises:
        _Refused: status 400, when `value` is not a list of messages.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _Refused(400, "messages must be a list of objects")
    return [Message(str(item.get("role")), _content(item.get("content"))) for item in value]


def _content(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(str(part.get("text", "")) for part in value if isinstance(part, dict))
    return "" if value is None else str(value)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    stub = LmStub(parser.parse_args().port)
    print(stub.url, flush=True)
    try:
        stub.serve_forever()
    except KeyboardInterrupt:
        stub.server_close()


if __name__ == "__main__":
    main()
