"""The client verbs as processes against a real HTTP server: stdout, stderr, exit codes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from spoken_router import SESSION, TOKEN, Server, spoken_router

CLI = [sys.executable, "-m", "pythonpool_cli"]


@pytest.fixture
def server() -> Iterator[Server]:
    with spoken_router() as running:
        yield running


class Shell:
    """Types verbs, in a home and an environment of its own."""

    def __init__(self, url: str, home: Path) -> None:
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPOOL_URL": url,
            "PYTHONPOOL_TOKEN": TOKEN,
            "PYTHONPOOL_HOME": str(home),
        }

    def type(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*CLI, *words], env=self.environ, input=stdin, capture_output=True, timeout=30
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*CLI, *words], env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Shell:
    return Shell(server.url, tmp_path)


def test_run_types_words_by_the_schema_and_prints_the_result_alone(
    shell: Shell, server: Server
) -> None:
    ended = shell.type("run", "general", "echo", "text=5", "count=5", "-o", "json")

    assert ended.returncode == 0
    assert ended.stdout == b'{"echoed":{"text":"5","count":5}}\n'
    assert ended.stderr == b"progress 50% loss=1\n"


def test_run_sends_limits_json_and_the_session(shell: Shell, server: Server) -> None:
    words = ["--json", '{"a": [1]}', "b=x", "--timeout", "2.5", "--queue-timeout", "0"]

    ended = shell.type("run", "general", "echo", *words, "--session", SESSION)

    assert json.loads(ended.stdout) == {"echoed": {"a": [1], "b": "x"}}
    assert server.asked[-1][1] == (
        f"/v1/sessions/{SESSION}/execute/echo?timeout=2.5&queue_timeout=0"
    )


def test_run_writes_bytes_raw(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"\x00\xffab")

    assert shell.type("run", "general", "blob", "--body", str(file)).stdout == b"ba\xff\x00"
    assert shell.type("run", "general", "blob", "--body", "-", stdin=b"ab").stdout == b"ba"


def test_run_stream_prints_events_as_json_lines(shell: Shell) -> None:
    ended = shell.type("run", "general", "generate", "--stream")

    assert [json.loads(line) for line in ended.stdout.splitlines()] == [
        {"event": "progress", "id": 1, "data": {"fraction": 0.5, "loss": 1}},
        {"event": "chunk", "id": 2, "data": "a"},
        {"event": "chunk", "id": 3, "data": "b"},
        {"event": "result", "id": 4, "data": None},
    ]


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("run general raise", 1, "pythonpool: ValueError: no"),
        ("run general vanish", 1, "broke before the answer"),
        ("run general full", 3, "try again in 1.5 s"),
        ("run general late_error", 4, "--timeout SECONDS"),
        ("commands generl", 2, 'no pool "generl"; see: '),
        ("session show none", 2, "session list"),
        ("run general echo --async", 2, "(later)"),
        ("run general echo x", 2, "must be key=value"),
        (f"run neural echo --session {SESSION}", 2, 'is of pool "general", not of "neural"'),
        ("run general echo --body /none", 2, "/none"),
        ("run", 2, "Missing argument 'POOL'"),
        ("pool", 2, "did you mean: pythonpool pools"),
        ("top", 2, "(later)"),
        ("explain x", 2, "(later)"),
        ("validate /none.yaml", 2, "/none.yaml: does not exist"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    shell: Shell, words: str, code: int, line: str
) -> None:
    ended = shell.type(*words.split())
    last = ended.stderr.decode().splitlines()[-1]

    assert (ended.returncode, ended.stdout) == (code, b"")
    assert last.startswith("pythonpool: ")
    assert line in last
    assert all(text.startswith("progress") for text in ended.stderr.decode().splitlines()[:-1])


def test_no_router_is_exit_3_and_names_the_way_out(shell: Shell) -> None:
    shell.environ["PYTHONPOOL_URL"] = "http://127.0.0.1:1"

    ended = shell.type("pools")

    assert ended.returncode == 3
    assert b"pythonpool up FILE" in ended.stderr


def test_a_wrong_token_is_exit_5(shell: Shell) -> None:
    shell.environ["PYTHONPOOL_TOKEN"] = "wrong"

    assert shell.type("pools").returncode == 5


def test_ctrl_c_is_exit_130_and_cancels_the_call(shell: Shell, server: Server) -> None:
    running = shell.start("run", "general", "wait")
    assert server.running.wait(30)

    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)

    assert running.returncode == 130
    assert said.decode().splitlines()[-1] == "pythonpool: cancelled"
    assert server.caller_gone.wait(10)


def test_a_reader_that_has_left_is_no_news(shell: Shell, server: Server) -> None:
    running = shell.start("run", "general", "wait", "--stream")
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None

    assert running.wait(30) == 141
    assert running.stderr.read() == b""
    running.stderr.close()
    assert server.caller_gone.wait(10)


def test_session_verbs(shell: Shell, server: Server) -> None:
    created = shell.type("session", "create", "general", "--ttl", "60", "--context", '{"a": 1}')
    listed = shell.type("session", "list", "general")

    assert created.stdout.decode() == SESSION + "\n"
    assert json.loads(server.asked[0][2]) == {
        "pool": "general",
        "ttl_seconds": 60,
        "context": {"a": 1},
    }
    assert SESSION in listed.stdout.decode()
    assert b"incomplete" in listed.stderr
    assert json.loads(shell.type("session", "show", SESSION).stdout)["session_id"] == SESSION
    assert shell.type("session", "delete", SESSION).returncode == 0


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("pools", "NAME     ADAPTER  READY  WORKERS  AVAILABLE  BUSY  TOTAL  QUEUED  SESSIONS"),
        ("commands general", "NAME  ARGS          TIMEOUT  IDEMPOTENT  STREAMING  DESCRIPTION"),
        ("workers general", "NAME           STATE  SLOTS  BUSY  SESSIONS  MEMORY  CALLS"),
    ],
)
def test_lists_are_tables_for_people_and_json_for_programs(
    shell: Shell, words: str, first: str
) -> None:
    text = shell.type(*words.split()).stdout.decode()
    items = json.loads(shell.type(*words.split(), "-o", "json").stdout)["items"]

    assert text.startswith(first)
    assert [line.split()[0] for line in text.splitlines()[1:]] == [row["name"] for row in items]


def test_recycle_asks_for_it(shell: Shell, server: Server) -> None:
    ended = shell.type("recycle", "general", "general-x7k2p", "-o", "json")

    assert json.loads(ended.stdout)["recycling"] is True
    assert server.asked == [("POST", "/v1/pools/general/workers/general-x7k2p/recycle", b"")]


def test_version_and_crd_need_no_router(shell: Shell) -> None:
    shell.environ["PYTHONPOOL_URL"] = "http://127.0.0.1:1"

    assert json.loads(shell.type("version", "-o", "json").stdout)["version"]
    assert json.loads(shell.type("crd", "-o", "json").stdout)["kind"] == "CustomResourceDefinition"
    assert b"kind: CustomResourceDefinition" in shell.type("crd").stdout


def test_version_loads_neither_a_client_nor_a_model(shell: Shell) -> None:
    """What is typed most often, and by completion scripts, must not cost half a second."""
    code = (
        "import sys; from pythonpool_cli.verbs import run_verb; run_verb(['version'], 'x');"
        "print([m for m in ('urllib3', 'aiohttp', 'pydantic', 'yaml') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ended.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_before_the_verb_is_loaded_is_one_line() -> None:
    code = """
import signal, sys
from pythonpool_cli.main import main
class Finder:
    def find_spec(self, name, *rest):
        if name == "click":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (ended.returncode, ended.stderr) == (130, "pythonpool: cancelled\n")
