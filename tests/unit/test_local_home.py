"""The home: who may read it, how long it may be, and that one `up` has it alone."""

import os
import stat
from pathlib import Path

import pytest

from pythonpool_local.home import Home, check_lengths, is_locked, locate, lock, prepare
from pythonpool_local.refusal import Refusal
from pythonpool_local.starting import check_machine


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_home_is_found_by_the_environment(tmp_path: Path) -> None:
    assert locate({"PYTHONPOOL_HOME": "/a", "XDG_STATE_HOME": "/b"}).path == Path("/a")
    assert locate({"XDG_STATE_HOME": "/b"}).path == Path("/b/pythonpool")
    assert locate({}).path == Path.home() / ".local/state/pythonpool"


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir(mode=0o755)

    prepare(home)

    assert [mode(path) for path in (home.path, home.run, home.logs)] == [0o700] * 3
    assert mode(home.token_file) == 0o600


def test_the_token_is_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    prepare(home)
    token = home.token_file.read_text()

    prepare(home)

    assert len(token.strip()) >= 43
    assert home.token_file.read_text() == token


def test_a_home_that_can_not_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(Refusal, match="can not be used") as refused:
        prepare(Home(tmp_path / "file" / "home"))

    assert "\n" not in refused.value.line


def test_a_home_too_long_for_sockets_is_said_before_anything_starts() -> None:
    longest = Home(Path("/" + "h" * (107 - len("//run/general-x7k2p/keeper.sock"))))
    check_lengths(longest, ["general"])

    with pytest.raises(Refusal, match="1 bytes too long"):
        check_lengths(Home(Path(f"{longest.path}h")), ["general"])


def test_one_home_has_one_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert not is_locked(home)
    held = lock(home)

    with pytest.raises(Refusal, match="runs already") as refused:
        lock(home)

    assert refused.value.exit_code == 3
    assert is_locked(home)
    os.close(held)
    assert not is_locked(home)


def test_other_machines_are_told_what_is_needed() -> None:
    check_machine("linux", (3, 11))
    with pytest.raises(Refusal, match="needs Linux"):
        check_machine("darwin", (3, 12))
    with pytest.raises(Refusal, match=r"needs Python 3\.11"):
        check_machine("linux", (3, 10))
