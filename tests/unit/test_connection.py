"""Where a client finds its router and its token: API.md section 4."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pythonpool import errors
from pythonpool.http.connection import home, resolve, running_up, tls_context


def write_up(folder: Path, pid: int, url: str = "http://127.0.0.1:4711") -> None:
    (folder / "run").mkdir(parents=True)
    said = {"url": url, "pid": pid, "pools": [], "routers": []}
    (folder / "run" / "up.json").write_text(json.dumps(said))


def token_of(environ: dict[str, str], given: str | None = None) -> str | None:
    return resolve(None, given, environ).credential.token()


def test_the_home_is_named_or_among_the_users_state() -> None:
    assert home({"PYTHONPOOL_HOME": "/a", "XDG_STATE_HOME": "/b", "HOME": "/c"}) == Path("/a")
    assert home({"XDG_STATE_HOME": "/b", "HOME": "/c"}) == Path("/b/pythonpool")
    assert home({"HOME": "/c"}) == Path("/c/.local/state/pythonpool")


def test_the_url_is_the_argument_then_the_variable_then_the_running_up(tmp_path: Path) -> None:
    write_up(tmp_path, os.getpid())
    environ = {"PYTHONPOOL_HOME": str(tmp_path)}

    assert resolve(None, None, environ).url == "http://127.0.0.1:4711"
    environ["PYTHONPOOL_URL"] = "https://pools.example/team/"
    assert resolve(None, None, environ).url == "https://pools.example/team"
    assert resolve("http://[::1]:9", None, environ).url == "http://[::1]:9"


def test_an_up_that_has_ended_is_passed_over(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_up(tmp_path, ended.pid)

    assert running_up(tmp_path) is None
    environ = {"PYTHONPOOL_HOME": str(tmp_path)}
    assert resolve(None, None, environ).url == "http://127.0.0.1:8080"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x"}', '{"pid": 1, "url": 5}'])
def test_an_up_file_that_is_no_up_file_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "up.json").write_text(text)

    assert running_up(tmp_path) is None


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "ftp://a",
        "http://",
        "http://a?b=c",
        "http://a:x",
        "http://u@a",
        "http://a:0",
    ],
)
def test_a_url_that_is_none_is_refused_with_its_value(url: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="must be http") as caught:
        resolve(url, None, {})
    assert url in str(caught.value)


def test_the_token_is_the_argument_then_the_variable_then_the_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-home\n")
    (tmp_path / "other").write_text("of-file\n")
    environ = {"PYTHONPOOL_HOME": str(tmp_path)}

    assert token_of(environ) == "of-home"
    environ["PYTHONPOOL_TOKEN_FILE"] = str(tmp_path / "other")
    assert token_of(environ) == "of-file"
    environ["PYTHONPOOL_TOKEN"] = "of-variable"
    assert token_of(environ) == "of-variable"
    assert token_of(environ, "of-argument") == "of-argument"


def test_no_token_in_a_fresh_home_is_no_error_yet(tmp_path: Path) -> None:
    """The router then says that one is needed; `/version` needs none."""
    connection = resolve(None, None, {"PYTHONPOOL_HOME": str(tmp_path)})

    assert connection.headers() == {}


def test_a_token_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    environ = {"PYTHONPOOL_TOKEN_FILE": str(tmp_path / "none")}

    with pytest.raises(errors.Unauthenticated, match="can not be read"):
        token_of(environ)


@pytest.mark.parametrize("text", [" ", "two words", "line\nbreak", "é"])
def test_a_token_that_would_break_the_header_is_refused(text: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        token_of({}, text)


def test_certificates_are_looked_at_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert tls_context("http://a", "/none") is None
    assert tls_context("https://a", None) is not None
    for name in ("none", "empty"):
        with pytest.raises(errors.InvalidArgument, match="ca_file"):
            tls_context("https://a", str(tmp_path / name))
