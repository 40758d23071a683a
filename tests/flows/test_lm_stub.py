"""The offline language model over its socket, as any HTTP client sees it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pythonpool_worker.adapters.lm_stub import LmStub

PATH = "/v1/chat/completions"
HELLO = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def stub() -> Iterator[LmStub]:
    server = LmStub()
    server.start()
    yield server
    server.stop()


def ask(stub: LmStub, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", stub.server_port, timeout=5)
    try:
        connection.request(method, path, body)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def test_a_completion_is_in_the_api_form_and_counted(stub: LmStub) -> None:
    before = stub.calls

    status, reply = ask(stub, "POST", PATH, json.dumps(HELLO).encode())

    assert status == 200
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"] == {"role": "assistant", "content": "unknown"}
    assert reply["usage"] == {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    assert stub.calls == before + 1


def test_a_connection_serves_many_calls(stub: LmStub) -> None:
    before = stub.calls
    connection = http.client.HTTPConnection("127.0.0.1", stub.server_port, timeout=5)
    for _ in range(3):
        connection.request("POST", PATH, json.dumps(HELLO))
        assert connection.getresponse().read()
    connection.close()

    assert stub.calls == before + 3


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (PATH, b"{", 400),
        (PATH, b"[]", 400),
        (PATH, b'{"messages": "hello"}', 400),
        (PATH, json.dumps(HELLO | {"stream": True}).encode(), 400),
        ("/v1/embeddings", b"{}", 404),
    ],
)
def test_what_it_can_not_answer_is_an_error_of_the_api(
    stub: LmStub, path: str, body: bytes, status: int
) -> None:
    before = stub.calls

    found, reply = ask(stub, "POST", path, body)

    assert found == status
    assert reply["error"]["message"]
    assert stub.calls == before


def test_models_are_listed(stub: LmStub) -> None:
    status, reply = ask(stub, "GET", "/v1/models")

    assert status == 200
    assert [row["id"] for row in reply["data"]] == ["pythonpool-stub"]


def test_it_runs_as_a_program() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "pythonpool_worker.adapters.lm_stub", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert program.stdout is not None
        url = program.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=5)
        connection.request("POST", PATH, json.dumps(HELLO))
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        program.kill()
        program.communicate()
