"""The sessions that live in this executor, and their snapshots."""

import logging

from pythonpool.adapter import Adapter, Session
from pythonpool.messages import SNAPSHOT_HEAD, TOO_LARGE, Kind
from pythonpool_worker.executor.channel import Channel, SessionClose, SessionOpen
from pythonpool_worker.executor.settings import ExecutorSettings

_LOG = logging.getLogger("pythonpool.executor")


class Sessions:
    """Opens, finds and closes sessions, and hands their states to the agent."""

    def __init__(self, adapter: Adapter, channel: Channel, settings: ExecutorSettings) -> None:
        self._adapter = adapter
        self._channel = channel
        self._keeps = settings.persistence != "None"
        self._sessions: dict[str, Session] = {}
        self._warned: set[str] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session_id: str) -> Session | None:
        """The session, when it is open here."""
        return self._sessions.get(session_id)

    def open(self, number: int, request: SessionOpen) -> None:
        """Let the adapter begin the session, or take up its snapshot; what it raises goes on.

        A session that begins has a snapshot at once, so that a kill of its first call costs none.
        """
        session = Session(request.session_id, {}, request.context)
        if request.snapshot is None:
            self._adapter.open_session(session)
        else:
            self._adapter.load(session, request.snapshot)
        self._sessions[session.id] = session
        if request.snapshot is None:
            self.send_snapshot(number, session)

    def close(self, request: SessionClose) -> None:
        """Let the adapter end the session; what it raises goes on. Unknown ones are no matter."""
        self._warned.discard(request.session_id)
        session = self._sessions.pop(request.session_id, None)
        if session is not None:
            self._adapter.close_session(session)

    def send_snapshot(self, number: int, session: Session) -> None:
        """Hand over the state after call `number`, or that it can not be kept."""
        if not self._keeps:
            return
        data = self._saved(session)
        flags = TOO_LARGE if data is None else 0
        body = data or b""
        head = SNAPSHOT_HEAD.pack(flags, len(body))
        self._channel.send_body(Kind.SNAPSHOT, number, head, body)

    def _saved(self, session: Session) -> bytes | None:
        try:
            data = bytes(self._adapter.save(session))
        except Exception as error:  # noqa: BLE001  # the user's code
            # An older state must not come back in its place, so this counts as too large.
            self._warn(session, f"can not be saved: {type(error).__name__}: {error}", error)
            return None
        most = self._channel.limits.state_bytes
        if len(data) > most:
            self._warn(session, f"is {len(data)} bytes, maxStateBytes is {most}", None)
            return None
        self._warned.discard(session.id)
        return data

    def _warn(self, session: Session, why: str, error: Exception | None) -> None:
        if session.id not in self._warned:
            self._warned.add(session.id)
            text = "the state of session %s %s; a kill loses the session"
            _LOG.warning(text, session.id, why, exc_info=error)
