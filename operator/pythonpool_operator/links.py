"""The links' TLS in one namespace, from what is to what should be: Secret, and ConfigMap.

Level-triggered, as the reconciler of pools is; reads both objects and writes nothing when all is
as it should be. The Secret is one that the chart, or a user, has made: none is ever created here.
"""

import logging
from dataclasses import dataclass

from pythonpool.clock import Clock
from pythonpool_operator import bundle
from pythonpool_operator.certificates import from_secret, read_all
from pythonpool_operator.cluster import ApiError, Cluster
from pythonpool_operator.compare import is_level
from pythonpool_operator.keyqueue import TryAgain
from pythonpool_operator.kinds import (
    CONFIG_MAP,
    POD,
    POOL,
    ROTATE_ANNOTATION,
    SECRET,
    Json,
    Key,
    Kind,
)
from pythonpool_operator.rotation import (
    AUTHORITIES,
    Facts,
    Step,
    carry_out,
    decide,
    read_keys,
)
from pythonpool_operator.settings import LinkSettings, Settings
from pythonpool_operator.store import Store

_log = logging.getLogger("pythonpool.operator")

_ROUTERS = "app.kubernetes.io/name=pythonpool,app.kubernetes.io/component=router"


@dataclass(frozen=True, slots=True)
class _Known:
    """A ConfigMap as it was left: uids of its owners, and its version."""

    owners: frozenset[str] = frozenset()
    version: str = ""


class Links:
    """Keeps certificates and their authorities; a namespace is a Key without a name."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        settings: Settings,
        links: LinkSettings,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._settings = settings
        self._links = links
        self._clock = clock
        self._complaints: dict[str, str] = {}
        self._known: dict[str, _Known] = {}

    async def places(self) -> set[Key]:
        """The namespaces that have routers or pools, or are served by name.

        Raises:
            ApiError: the API server did not answer.
        """
        named = self._settings.namespaces
        found = set(named)
        if not named:
            found |= {key.namespace for key in self._store.pools()}
            found |= {place for place, _ in await self._cluster.names(POD, "", _ROUTERS)}
        return {Key(namespace, "") for namespace in found}

    async def reconcile(self, place: Key) -> bool:
        """Look at one namespace and do what is to be done; False: it is looked at when added again.

        Raises:
            TryAgain: something that passes is in the way.
        """
        namespace = place.namespace
        try:
            secret = await self._cluster.get(SECRET, namespace, self._links.secret)
            pools = self._pools(namespace)
            if secret is None:
                if pools:
                    self._complain(namespace, f"there is no Secret {self._links.secret}")
                return False
            live = await self._cluster.get(CONFIG_MAP, namespace, self._settings.link_ca)
            if self._links.lives is not None:
                secret = await self._rotate(namespace, secret, live, bool(pools))
            await self._publish(namespace, secret, live, pools)
        except ApiError as error:
            raise TryAgain(str(error)) from error
        return False

    def concerns(self, kind: Kind, event: str, live: Json) -> Key | None:
        """The namespace that is to be looked at because of an event of the watches."""
        meta = live["metadata"]
        place = Key(meta["namespace"], "")
        known = self._known.get(place.namespace, _Known())
        if kind is POOL:
            missing = len(known.owners) < bundle.OWNERS and meta["uid"] not in known.owners
            gone = event == "DELETED" and meta["uid"] in known.owners
            return place if gone or (missing and event not in ("MODIFIED", "DELETED")) else None
        if kind is not CONFIG_MAP or meta["name"] != self._settings.link_ca:
            return None
        # What was just applied here is no news.
        return place if event == "DELETED" or meta["resourceVersion"] != known.version else None

    async def _rotate(self, namespace: str, secret: Json, live: Json | None, used: bool) -> Json:
        """The Secret after the next step; as it was when there is none."""
        lives = self._links.lives
        assert lives is not None  # noqa: S101
        data = secret.get("data") or {}
        keys = read_keys(data)
        asked = (secret["metadata"].get("annotations") or {}).get(ROTATE_ANNOTATION, "")
        mine = live if live and bundle.is_ours(live) else None
        since = bundle.published_at(mine, keys.bundle if keys else "") if used else 0.0
        names = (f"{self._settings.router_service}.{namespace}.svc",)
        facts = Facts(self._clock.time(), since, names, asked)
        step = decide(keys, facts, lives)
        if step is Step.NOTHING and not asked:
            return secret
        change: Json = {"metadata": {"annotations": {ROTATE_ANNOTATION: None}}}
        if step is not Step.NOTHING:
            name = f"pythonpool links {namespace}"
            change["data"] = carry_out(step, keys, bundle.text_of(mine), facts, lives, name)
            _log.info("%s: links: %s", namespace, step.value)
        return await self._cluster.merge(SECRET, secret, change)

    async def _publish(
        self, namespace: str, secret: Json, live: Json | None, pools: list[Json]
    ) -> None:
        """The ConfigMap of the pools' namespace; without pools nobody reads one."""
        name = self._settings.link_ca
        text = from_secret(secret.get("data") or {}, AUTHORITIES)
        trouble = _trouble(self._links.secret, text, name, live)
        if trouble:
            self._complain(namespace, trouble)
            return
        self._complaints.pop(namespace, None)
        owners = bundle.owners_of(live, pools)
        if not owners:
            return
        since = bundle.published_at(live, text)
        wanted = bundle.manifest(
            namespace, name, text, owners, self._clock.time() if since is None else since
        )
        if live is None or not is_level(wanted, live):
            made, live = live is None, await self._cluster.apply(CONFIG_MAP, wanted, live)
            _log.info("%s: ConfigMap %s %s", namespace, name, "made" if made else "changed")
        uids = frozenset(owner["metadata"]["uid"] for owner in owners)
        self._known[namespace] = _Known(uids, live["metadata"]["resourceVersion"])

    def _pools(self, namespace: str) -> list[Json]:
        found = (self._store.pool(key) for key in self._store.pools() if key.namespace == namespace)
        return [pool for pool in found if pool is not None]

    def _complain(self, namespace: str, text: str) -> None:
        """Once for each new trouble: the namespace is looked at every minute."""
        if self._complaints.get(namespace) != text:
            self._complaints[namespace] = text
            _log.warning("%s: links: %s", namespace, text)


def _trouble(secret: str, text: str, name: str, live: Json | None) -> str:
    """Why the authorities are not published; empty: they can be."""
    if live and not bundle.is_ours(live):
        return f"ConfigMap {name} is not the operator's and is left alone: delete it"
    try:
        read_all(text)
    except ValueError:
        return f"{AUTHORITIES} of Secret {secret} must be certificates as PEM"
    return ""
