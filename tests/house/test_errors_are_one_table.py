"""One code, one status, one class: the table of API.md 2.1."""

import pytest

from pythonpool import errors

STATUS = {
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "pool_not_found": 404,
    "command_not_found": 404,
    "session_not_found": 404,
    "execution_not_found": 404,
    "worker_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "session_expired": 410,
    "session_lost": 410,
    "execution_lost": 410,
    "payload_too_large": 413,
    "command_failed": 422,
    "resource_exhausted": 429,
    "header_too_large": 431,
    "cancelled": 499,
    "internal": 500,
    "worker_crashed": 502,
    "out_of_memory": 502,
    "result_too_large": 502,
    "unavailable": 503,
    "timeout": 504,
}
FINISHED = {"command_failed", "result_too_large"}
UNKNOWN = {"cancelled", "internal", "worker_crashed", "out_of_memory", "timeout"}


def test_every_code_has_one_class_and_its_status() -> None:
    assert {code: cls.status for code, cls in errors.BY_CODE.items()} == STATUS


@pytest.mark.parametrize("code", sorted(STATUS))
def test_the_default_outcome_is_that_of_the_table(code: str) -> None:
    """A caller decides by it whether a second try could be a second run."""
    wanted = "finished" if code in FINISHED else "unknown" if code in UNKNOWN else "not_started"

    assert errors.BY_CODE[code]("x").outcome == wanted


@pytest.mark.parametrize("code", sorted(STATUS))
def test_an_error_survives_the_wire(code: str) -> None:
    error = errors.BY_CODE[code]("what happened", cause="memory", retry_after_ms=1500)

    back = errors.PythonPoolError.from_problem(error.to_problem())

    assert type(back) is type(error)
    assert back.to_problem() == error.to_problem()


def test_members_that_do_not_apply_are_left_out() -> None:
    problem = errors.SessionNotFound("no such session").to_problem()

    assert sorted(problem) == ["code", "detail", "outcome", "status", "title", "type"]


def test_an_unknown_code_is_internal_and_not_a_crash() -> None:
    assert isinstance(errors.PythonPoolError.from_problem({"code": "new"}), errors.Internal)
