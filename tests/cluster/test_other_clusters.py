"""KUBECONFIG of another cluster: honoured, left alone, and what can not run there says so."""

import os
import subprocess
import sys
from pathlib import Path

from cluster.kube.apiserver import ApiServer
from cluster.kube.places import CHECKOUT


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python in this checkout, with further variables."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": "tests"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_made_where_another_cluster_is_named(tmp_path: Path) -> None:
    other = tmp_path / "kubeconfig"

    for verb in ("up", "images"):
        ended = run("-m", "cluster.kube.main", verb, KUBECONFIG=str(other))

        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == (
            f"cluster: KUBECONFIG={other} is honoured: nothing is made here; its images are the"
            " user's, from PYTHONPOOL_REGISTRY\n"
        )


def test_images_are_those_of_the_registry_that_is_named() -> None:
    names = "from cluster.kube.images import IMAGES; print(*{i.reference for i in IMAGES})"

    ended = run("-c", names, PYTHONPOOL_REGISTRY="registry.example/team")

    references = ended.stdout.split()
    assert references
    assert all(each.startswith("registry.example/team/") for each in references)


def test_what_needs_our_nodes_says_so(apiserver: ApiServer) -> None:
    """In one line, as the reason of its skip."""
    files = ("-k", "number", "tests/cluster/test_images.py")

    ended = run("-m", "pytest", "-q", "-rs", *files, KUBECONFIG=str(apiserver.kubeconfig))

    assert ended.returncode == 0, ended.stdout
    assert "it needs the nodes of `make cluster`, and KUBECONFIG names another" in ended.stdout
    assert "passed" not in ended.stdout.splitlines()[-1]
