"""The kinds of objects that the operator reads and writes: names and paths in the API."""

from dataclasses import dataclass
from typing import Any

from pythonpool import names

Json = dict[str, Any]

POOL_LABEL = f"{names.GROUP}/pool"
CONFIG_ANNOTATION = f"{names.GROUP}/config"
FINGERPRINT_ANNOTATION = f"{names.GROUP}/applied"
ROTATE_ANNOTATION = f"{names.GROUP}/rotate"
SINCE_ANNOTATION = f"{names.GROUP}/published-at"
MANAGER = "pythonpool-operator"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of namespaced objects.

    Attributes:
        api_version: e.g. `apps/v1`; `v1` is the core group.
        kind: e.g. `Deployment`.
        plural: e.g. `deployments`.
    """

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str, name: str = "") -> str:
        """Path of one object, or of all of a namespace; all namespaces when it is empty."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        place = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{place}/{self.plural}" + (f"/{name}" if name else "")

    def __str__(self) -> str:
        return self.kind


POOL = Kind(names.API_VERSION, names.KIND, names.PLURAL)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
POD = Kind("v1", "Pod", "pods")
SECRET = Kind("v1", "Secret", "secrets")
EVENT = Kind("events.k8s.io/v1", "Event", "events")

# In the order in which they are made: the Deployment's pods need the others.
CHILDREN = (SERVICE_ACCOUNT, CONFIG_MAP, NETWORK_POLICY, BUDGET, DEPLOYMENT)
WATCHED = (POOL, *CHILDREN, POD)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A pool: its namespace and name; without a name the namespace itself."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.name else self.namespace


def watched_selector(kind: Kind) -> str:
    """Labels of the objects of a watched kind that the operator has to do with; empty: all."""
    return "" if kind is POOL else POOL_LABEL
