"""Names are looked at once, at the edge; handles are opaque and are read back exactly."""

import pytest

from pythonpool import names
from pythonpool.clock import timestamp
from pythonpool.names import SessionHandle


@pytest.mark.parametrize("text", ["a", "general", "a-b-9", "0", "a" * 40])
def test_pool_names(text: str) -> None:
    assert names.is_pool_name(text)


@pytest.mark.parametrize("text", ["", "A", "-a", "a-", "a.b", "a_b", "a" * 41, "a\n", "ä"])
def test_wrong_pool_names(text: str) -> None:
    assert not names.is_pool_name(text)


@pytest.mark.parametrize("text", ["echo", "dspy.predict", "a_b-c.9", "a" * 64])
def test_command_names(text: str) -> None:
    assert names.is_command_name(text)


@pytest.mark.parametrize("text", ["", "Echo", "9a", "__init__", "a/b", "a" * 65, "a\n"])
def test_wrong_command_names(text: str) -> None:
    assert not names.is_command_name(text)


def test_worker_names_look_like_pods_and_do_not_repeat() -> None:
    made = {names.new_worker_name("general") for _ in range(200)}

    assert len(made) > 195
    assert all(names.is_worker_name(name) and name.startswith("general-") for name in made)


def test_a_handle_is_read_back() -> None:
    handle = SessionHandle.new("general", "general-abcde", names.new_incarnation())

    assert SessionHandle.parse(str(handle)) == handle
    assert len(handle.secret) == 32


@pytest.mark.parametrize("text", ["", "x", "a.b.c.d", "../../etc", "a.b." + "0" * 16 + ".zz"])
def test_malformed_handles_are_none(text: str) -> None:
    assert SessionHandle.parse(text) is None


def test_execution_ids_name_their_router() -> None:
    assert names.execution_id("00ff", 255) == "00ff-ff"


def test_time_stamps_are_rfc_3339_in_utc() -> None:
    assert timestamp(1_767_225_600.25) == "2026-01-01T00:00:00.250Z"
