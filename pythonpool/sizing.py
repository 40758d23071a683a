"""How many workers a pool should have. Pure: spec and numbers in, a number out."""

from pythonpool.pool import PoolSpec
from pythonpool.spec.specparts import MAX_REPLICAS


def local_replicas(spec: PoolSpec, cores: int) -> int:
    """Workers of a pool on one machine with `cores` processors, 0 to 1000.

    `local.replicas` when it is given, else `local.replicasPerCore` times `cores`, else `replicas`.
    """
    if spec.local is not None and spec.local.replicas is not None:
        return spec.local.replicas
    if spec.local is not None and spec.local.replicas_per_core is not None:
        return min(spec.local.replicas_per_core * max(cores, 1), MAX_REPLICAS)
    return spec.replicas
