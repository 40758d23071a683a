"""One `up` that many end-to-end tests share: the troublesome adapter in pools of several kinds.

`Asker` speaks plain HTTP: what the wire says is looked at, not what a client makes of it.
"""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.house import House, manifest

EXAMPLES = Path(__file__).parents[2] / "examples"

TROUBLES = """
adapter: troubles:Troubles
timeoutSeconds: {seconds}
maxTimeoutSeconds: 60
"""


def troubles(name: str, spec: str = "", *, seconds: int = 20) -> str:
    """A pool of the troublesome adapter; `spec` are further fields, `seconds` its time to run."""
    return manifest(name, TROUBLES.format(seconds=seconds) + spec)


def beside_examples(folder: Path, *manifests: str) -> Path:
    """A manifest file in a folder where `troubles:Troubles` is found."""
    folder.mkdir(exist_ok=True)
    for name in ("troubles.py", "shop.py"):
        link = folder / name
        if not link.exists():
            link.symlink_to(EXAMPLES / name)
    path = folder / "pools.yaml"
    path.write_text("".join(manifests))
    return path


@dataclass(slots=True)
class Answer:
    """One HTTP answer: its status, its fields in lower case, its body."""

    status: int
    fields: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code; `ok` when there is none."""
        return self.json["code"] if "problem+json" in self.fields["content-type"] else "ok"


@dataclass(slots=True)
class Asker:
    """Asks one house over plain HTTP."""

    house: House

    def connection(self) -> http.client.HTTPConnection:
        """A connection of one's own."""
        host, _, port = self.house.url.removeprefix("http://").partition(":")
        return http.client.HTTPConnection(host, int(port), timeout=40)

    def headers(self, **more: str) -> dict[str, str]:
        """The token, and more."""
        return {"Authorization": f"Bearer {self.house.token}", **more}

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = self.connection()
        try:
            connection.request(method, path, data, self.headers() if headers is None else headers)
            got = connection.getresponse()
            fields = {name.lower(): value for name, value in got.getheaders()}
            return Answer(got.status, fields, got.read())
        finally:
            connection.close()

    def run(self, pool: str, command: str, args: Any = None, query: str = "") -> Answer:
        """One call."""
        path = f"/v1/pools/{pool}/execute/{command}{'?' + query if query else ''}"
        return self.ask("POST", path, {} if args is None else args)

    def session(self, pool: str, **more: Any) -> str:
        """A new session's id."""
        answer = self.ask("POST", "/v1/sessions", {"pool": pool, **more})
        assert answer.status == 201, answer.body
        handle: str = answer.json["session_id"]
        return handle

    def in_session(self, handle: str, command: str, args: Any = None, query: str = "") -> Answer:
        """One call on a session's state."""
        path = f"/v1/sessions/{handle}/execute/{command}{'?' + query if query else ''}"
        return self.ask("POST", path, {} if args is None else args)

    def pool(self, name: str) -> dict[str, Any]:
        """The pool's object."""
        shown: dict[str, Any] = self.ask("GET", f"/v1/pools/{name}").json
        return shown

    def workers(self, name: str) -> list[dict[str, Any]]:
        """The pool's workers, as the router shows them."""
        items: list[dict[str, Any]] = self.ask("GET", f"/v1/pools/{name}/workers").json["items"]
        return items

    def metrics(self) -> str:
        """The text of /metrics."""
        return self.ask("GET", "/metrics").body.decode()

    @contextmanager
    def held(self, pool: str, command: str, args: Any, query: str = "") -> Iterator[Any]:
        """A call that was sent and whose answer nobody has read yet."""
        connection = self.connection()
        path = f"/v1/pools/{pool}/execute/{command}{'?' + query if query else ''}"
        connection.request("POST", path, json.dumps(args).encode(), self.headers())
        try:
            yield connection
        finally:
            connection.close()


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
