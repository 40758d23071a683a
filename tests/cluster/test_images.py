"""What the images of a release say of themselves, and what runs in a worker's pod."""

from collections.abc import Iterator

import pytest
from cluster.kube.client import Cluster
from cluster.kube.images import IMAGES, Image, layout
from cluster_release import Release, release

pytestmark = pytest.mark.timeout(120)

RELEASED = [image for image in IMAGES if image.name != "shop"]
SHOP = next(image for image in IMAGES if image.name == "shop")
OCI = "org.opencontainers.image."
PROFILED = """
import os, sys, sysconfig
python = os.path.realpath(sys.executable)
# Debian builds its own with a profile, and nothing in it says so.
print('--enable-optimizations' in sysconfig.get_config_var('CONFIG_ARGS')
      or python.startswith('/usr/bin/python3.'))
"""
WRITABLE = """
import os
folders = ('/', '/opt', '/opt/adapters', '/opt/code', '/opt/pythonpool', '/usr', '/etc', '/var')
print([path for path in folders if os.access(path, os.W_OK)], os.access('/tmp', os.W_OK))
"""


@pytest.mark.parametrize("image", RELEASED, ids=lambda image: image.name)
def test_an_image_says_what_it_is(own_nodes: Cluster, image: Image) -> None:
    labels = layout().settings(image.reference)["Labels"]
    said = {name.removeprefix(OCI): text for name, text in labels.items() if name.startswith(OCI)}

    assert said.pop("version") == image.reference.rpartition(":")[2]
    assert said.pop("licenses") == "Apache-2.0"
    assert said.pop("title").startswith("pythonpool ")
    assert set(said) == {"description", "revision"}
    assert all(said.values())


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_runs_as_a_number(own_nodes: Cluster, image: Image) -> None:
    """The example's too: it takes over what its worker image says."""
    assert layout().settings(image.reference)["User"] == "65532:65532"


@pytest.fixture(scope="module")
def shop(cluster: Cluster) -> Iterator[Release]:
    """A pool whose image is the example's: one file and one line more than a worker's."""
    with release(cluster, "router.replicas=1") as made:
        made.make("shop", adapter="shop:Shop", pod={"image": SHOP.reference})
        made.settled("shop", 1)
        yield made


def inside(shop: Release, program: str) -> str:
    """What Python prints in the container of the executors."""
    (pod,) = shop.workers("shop")
    command = ("exec", pod["metadata"]["name"], "-c", "executors", "--", "python", "-c", program)
    return shop.kubectl(*command).strip()


def test_an_adapter_of_ones_own_works(shop: Release) -> None:
    answer = shop.service.run("shop", "price", {"item": "tea", "count": 3})

    assert (answer.status, answer.json) == (200, 7.5)


def test_the_interpreter_is_built_with_a_profile(shop: Release) -> None:
    assert inside(shop, PROFILED) == "True"


def test_nothing_of_the_image_can_be_written_to(shop: Release) -> None:
    assert inside(shop, WRITABLE) == "[] True"
