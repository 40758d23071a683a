"""Cold questions of routers: sessions shown, listed and deleted; a worker recycled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from pythonpool.errors import InvalidArgument, PythonPoolError
from pythonpool.messages import END_HEAD, MAX_PAYLOAD, Kind
from pythonpool_worker.agent.problems import error_json
from pythonpool_worker.agent.sessions import Sessions

if TYPE_CHECKING:
    from pythonpool_worker.agent.link import Link


class Asks:
    """Answers ASK with ANSWER or ERROR, in one frame each."""

    def __init__(self, sessions: Sessions, recycle: Callable[[], None]) -> None:
        self._sessions = sessions
        self._recycle = recycle

    def ask(self, link: "Link", number: int, payload: bytes) -> None:
        """One question."""
        try:
            answer = self._answer(orjson.loads(payload))
        except orjson.JSONDecodeError as error:
            _refuse(link, number, InvalidArgument(f"a question that is not JSON: {error}"))
        except PythonPoolError as error:
            _refuse(link, number, error)
        else:
            link.send(Kind.ANSWER, number, answer)

    def _answer(self, asked: dict[str, Any]) -> bytes:
        op, owner = asked.get("op"), asked.get("owner")
        if op == "session.get":
            session = self._sessions.find(_secret(asked), owner)
            return orjson.dumps(self._sessions.describe(session))
        if op == "session.delete":
            self._sessions.delete(self._sessions.find(_secret(asked), owner))
            return b"{}"
        if op == "session.list":
            return self._list(owner)
        if op == "recycle":
            self._recycle()
            return b"{}"
        if op == "health":
            return b"{}"  # that the agent answers is the answer
        raise InvalidArgument(f"no such question: {op!r}")

    def _list(self, owner: str | None) -> bytes:
        """All that fit into one frame; `incomplete` says whether some did not."""
        room = MAX_PAYLOAD - 64
        items: list[bytes] = []
        for session in self._sessions.of(owner):
            text = orjson.dumps(self._sessions.describe(session))
            room -= len(text) + 1
            if room < 0:
                return _items(items, b"true")
            items.append(text)
        return _items(items, b"false")


def _items(items: list[bytes], incomplete: bytes) -> bytes:
    return b'{"items":[' + b",".join(items) + b'],"incomplete":' + incomplete + b"}"


def _secret(asked: dict[str, Any]) -> str:
    """The random part, also of a whole handle."""
    return str(asked.get("session", "")).rpartition(".")[2]


def _refuse(link: "Link", number: int, error: PythonPoolError) -> None:
    link.send(Kind.ERROR, number, END_HEAD.pack(0, 0) + error_json(error))
