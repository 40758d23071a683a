"""Why a pool has fewer ready workers than it should: one reason and message, out of live objects.

Pure. Kubernetes' own words are kept; what it says of one pod and what changes with every retry
(pod names, back-off times) is left out, so that the status stands still while the cause does.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pythonpool_operator.kinds import Json
from pythonpool_operator.load import PoolLoad

MAX_MESSAGE = 1024

_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
_START_REASONS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PostStartHookError",
}
_BACK_OFF = re.compile(r"^back-off .*?: ", re.IGNORECASE)
_QUOTED = re.compile(r'pods "[^"]*" is forbidden: ')
_POD_OF = re.compile(r"\s*pod=\S+")
_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong.

    Attributes:
        reason: one CamelCase word.
        message: one line for people.
        is_final: nothing gets better before somebody changes something.
    """

    reason: str
    message: str
    is_final: bool = False


def cause_of_pool(deployment: Json | None, pods: Iterable[Json], gpu: str | None) -> Cause | None:
    """The commonest cause among the pods that are not ready, else why there are no pods.

    Args:
        deployment: the pool's Deployment, if it is there.
        pods: its pods; those being deleted are passed over.
        gpu: the extended resource of its GPUs, or None.
    """
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    found = Counter(cause for pod in alive if (cause := cause_of_pod(pod, gpu)))
    if found:
        cause, count = found.most_common(1)[0]
        many = f"{count} of {len(alive)} workers: " if len(alive) > 1 else ""
        return Cause(cause.reason, one_line(many + cause.message))
    return _refused_pods(deployment)


@dataclass(frozen=True, slots=True)
class TooOld:
    """Workers that no router understands: how many, and what is to be said of them."""

    count: int = 0
    cause: Cause | None = None


def too_old(pods: Iterable[Json], load: PoolLoad) -> TooOld:
    """The workers that no router understands; pods that are being deleted are passed over."""
    names = {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}
    refused = {name: spoken for name, spoken in load.refused.items() if name in names}
    if not refused:
        return TooOld()
    spoken = min(refused.values())
    cause = Cause(
        "WorkerTooOld",
        f"{len(refused)} of {len(names)} workers speak version {_range(spoken)} of the link, the "
        f"routers {_range(load.protocol)}: bring operator and routers to one release, and make "
        "spec.pod.image from it",
        is_final=True,
    )
    return TooOld(len(refused), cause)


def _range(versions: tuple[int, int]) -> str:
    oldest, newest = versions
    return str(newest) if oldest == newest else f"{oldest} to {newest}"


def cause_of_pod(pod: Json, gpu: str | None) -> Cause | None:
    """Why this pod is not ready; None: it is, or it is on its way."""
    status = pod.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    if conditions.get("Ready", {}).get("status") == "True":
        return None
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return _unschedulable(scheduled.get("message") or "no node fits", gpu)
    # What one container has said tells more than how the other one ended because of it.
    for look in (_waiting, _last_words, _ended):
        for container in _containers(status):
            cause = look(container)
            if cause:
                return cause
    if status.get("phase") == "Failed":
        return Cause(status.get("reason") or "Failed", status.get("message") or "the pod failed")
    return None


def one_line(text: str) -> str:
    """The text on one line, at most 1,024 characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"


def _containers(status: Json) -> list[Json]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _unschedulable(message: str, gpu: str | None) -> Cause:
    if gpu and f"Insufficient {gpu}" in message:
        return Cause("GpuUnavailable", one_line(f"no node has a free {gpu}: {message}"))
    return Cause("Unschedulable", one_line(message))


def _waiting(container: Json) -> Cause | None:
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL_REASONS:
        image = container.get("image") or "image"
        return Cause("ImagePullFailed", one_line(f"{image} can not be pulled: {message or reason}"))
    if reason in _START_REASONS:
        return Cause("ContainerRefused", one_line(f"{container['name']}: {message or reason}"))
    return None


def _end(container: Json) -> Json | None:
    """Its last end, whether or not it runs again."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    end: Json | None = state.get("terminated") or last.get("terminated")
    return end


def _last_words(container: Json) -> Cause | None:
    ended = _end(container)
    return _told(ended.get("message") or "") if ended else None


def _ended(container: Json) -> Cause | None:
    """Of a container that has ended: at once, or again and again."""
    ended = _end(container)
    if not ended:
        return None
    if container["name"] == "executors" and ended.get("exitCode") == 0:
        return None  # in order, because the agent has
    name, line = container["name"], _last_line(ended.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        return Cause("OutOfMemory", f"{name} was killed over its memory limit")
    if name == "agent" and ended.get("exitCode") in (0, 137, 143):
        text = line or "see the log of the container executors"
        return Cause("StartTimedOut", one_line(f"not ready within startupSeconds: {text}"))
    how = f"exit code {ended.get('exitCode')}"
    return Cause("CrashLooping", one_line(f"{name}: {line} ({how})" if line else f"{name}: {how}"))


def _told(message: str) -> Cause | None:
    """What the agent or keeper itself wrote as its last word: `{"reason", "message"}`."""
    if not message.startswith("{"):
        return None
    try:
        said: Any = json.loads(message)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    reason, text = said.get("reason"), said.get("message")
    if isinstance(reason, str) and _REASON.match(reason) and isinstance(text, str):
        return Cause(reason, one_line(text))
    return None


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return _POD_OF.sub("", _BACK_OFF.sub("", lines[-1].strip())) if lines else ""


def _refused_pods(deployment: Json | None) -> Cause | None:
    """Why the API server takes no pods: a quota, or a rule of the namespace."""
    status = (deployment or {}).get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            message = _QUOTED.sub("", condition.get("message") or "")
            is_quota = "exceeded quota" in message or "failed quota" in message
            return Cause("QuotaExceeded" if is_quota else "PodRefused", one_line(message))
    return None
