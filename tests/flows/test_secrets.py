"""Canaries: random words where secrets are, and a search in all places where they must not be.

What an adapter prints itself is its own affair: it stands in its worker's log.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flows.house import House, open_house, processes_below, pythonpool, wait_for
from flows.test_hard_neighbours import pool, written
from flows.whole import Asker

PLACES = ("env", "arg", "result", "context", "state", "message", "traceparent")


@pytest.fixture(scope="module")
def words() -> dict[str, str]:
    """A canary for each place."""
    return {place: f"canary-{place}-{secrets.token_hex(12)}" for place in PLACES}


@pytest.fixture(scope="module")
def house(words: dict[str, str]) -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    env = f"env: [{{name: API_KEY, value: {words['env']}}}]"
    manifests = written(home / "files", pool("keeper-of-one", env), pool("quiet"))
    opened = open_house(home, [manifests], "--errors", "Message")
    yield opened
    assert opened.close() == 0
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def used(house: House, words: dict[str, str]) -> dict[str, Any]:
    """Every secret has been used, in calls that end well and badly; what their callers got."""
    asker = Asker(house)
    handle = asker.session("keeper-of-one", context={"secret": words["context"]})
    args = {"text": words["arg"]}
    bad = {**args, "unknown": words["arg"]}
    answers = {
        "env": asker.run("keeper-of-one", "environment"),
        "own": asker.run("keeper-of-one", "give_back", {"text": words["result"]}),
        "raised": asker.run("keeper-of-one", "raise_it", {"text": words["message"]}),
        "refused": asker.run("keeper-of-one", "give_back", bad),
        "late": asker.run("keeper-of-one", "wait_with", args, "timeout=0.3"),
        "died": asker.run("keeper-of-one", "die_with", args),
        "state": asker.in_session(handle, "remember", {"text": words["state"]}),
        "session": asker.ask("GET", f"/v1/sessions/{handle}"),
        "broken": asker.run("keeper-of-one", "give_back", f'{{"text": "{words["arg"]}"'.encode()),
        "unknown": asker.run("keeper-of-one", "no_such_command", args),
    }
    return {name: (answer.status, answer.body.decode()) for name, answer in answers.items()}


def test_own_caller_gets_what_it_sent(used: dict[str, Any], words: dict[str, str]) -> None:
    """The search would find nothing in a house where nothing happened."""
    assert words["env"] in used["env"][1]
    assert words["result"] in used["own"][1]
    assert (used["raised"][0], words["message"] in used["raised"][1]) == (422, True)
    assert words["context"] in used["session"][1]
    statuses = [used[name][0] for name in ("refused", "late", "died", "state", "broken", "unknown")]
    assert statuses == [400, 504, 502, 200, 400, 404]


def test_errors_without_a_traceback(used: dict[str, Any]) -> None:
    """`--errors Message`: type and message, no source text; the stack of a killed call stays."""
    assert '"type":"ValueError"' in used["raised"][1]
    assert "traceback" not in used["raised"][1]
    assert '"stack"' in used["late"][1] or '"code":"timeout"' in used["late"][1]


def test_errors_of_others_have_no_secrets(used: dict[str, Any], words: dict[str, str]) -> None:
    """Timeouts, crashes and refusals do not repeat args, and no error shows the environment."""
    for name in ("late", "died", "unknown", "broken"):
        assert words["arg"] not in used[name][1]
    for name in used.keys() - {"env"}:
        assert words["env"] not in used[name][1]


def test_logs_and_metrics_have_none(
    house: House, used: dict[str, Any], words: dict[str, str]
) -> None:
    wait_for(lambda: "worker_crashed" in Asker(house).metrics())
    shown = {path.name: path.read_bytes() for path in (house.home / "logs").iterdir()}
    shown["metrics"] = Asker(house).metrics().encode()
    shown["said"] = house.said.encode()
    for words_of in ("pools", "workers", "commands"):
        named = [] if words_of == "pools" else ["keeper-of-one"]
        shown[words_of] = pythonpool(house.home, words_of, *named, "-o", "json").stdout.encode()

    assert _found(shown, [*words.values(), house.token]) == []


def test_files_have_none(house: House, used: dict[str, Any], words: dict[str, str]) -> None:
    """Only the user's own manifest has the environment, and only the token file the token."""
    files = _files(house.home) | _files(Path("/dev/shm"))
    own = {name: data for name, data in files.items() if "/files/" not in name}

    assert _found(own, list(words.values())) == []
    assert _found(own, [house.token]) == [(str(house.home / "token"), house.token)]
    assert all(oct(path.stat().st_mode & 0o77) == "0o0" for path in (house.home / "run").iterdir())


def test_other_processes_have_none(
    house: House, used: dict[str, Any], words: dict[str, str]
) -> None:
    """Environment and command line of router, supervisor, agents and all of the other pool."""
    ours = [house.process.pid, *processes_below(house.process.pid)]
    seen = {f"{pid}/{what}": _read(Path(f"/proc/{pid}/{what}")) for pid in ours for what in _SHOWN}
    found = _found(seen, [*words.values(), house.token])

    assert {word for _, word in found} <= {words["env"]}
    for place, _ in found:
        line = _read(Path(f"/proc/{place.partition('/')[0]}/cmdline"))
        assert b"keeper-of-one" in line
        assert b"pythonpool_worker.agent" not in line


_SHOWN = ("environ", "cmdline", "comm", "maps")


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): _read(path) for path in folder.rglob("*") if path.is_file()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has just ended, or is the keeper's, which nobody may read


def _found(shown: dict[str, bytes], canaries: list[str]) -> list[tuple[str, str]]:
    return [
        (place, canary)
        for place, data in sorted(shown.items())
        for canary in canaries
        if canary.encode() in data
    ]


def test_tracebacks_reach_callers_by_default(home: Path) -> None:
    """One machine is one user's own: `--errors Full` is what `up` does unasked."""
    house = open_house(home, [written(home / "files", pool("quiet"))])
    try:
        answer = Asker(house).run("quiet", "raise_it", {"text": "here"})
        assert "in raise_it" in answer.json["exception"]["traceback"]
    finally:
        assert house.close() == 0
    assert os.path.exists(home / "token")
