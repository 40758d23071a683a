"""`python -m pythonpool_operator.crd`: bring the CustomResourceDefinition to this release's form.

The chart's init container: Helm installs what is in crds/ and never upgrades it.
"""

import asyncio
import logging
import os
import sys

from pythonpool.crd import crd
from pythonpool_operator.cluster import ApiError, connect
from pythonpool_operator.settings import api_of

_log = logging.getLogger("pythonpool.operator")


def main() -> int:
    """0, or 1 when the API server has refused it."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        asyncio.run(_apply())
    except ApiError as error:
        _log.error("the CustomResourceDefinition was not applied: %s", error)
        return 1
    return 0


async def _apply() -> None:
    manifest = crd()
    async with connect(api_of(sys.argv[1:], os.environ)) as cluster:
        await cluster.apply_crd(manifest)
    _log.info("%s is as this release needs it", manifest["metadata"]["name"])


if __name__ == "__main__":
    sys.exit(main())
