"""The images of a release: pinned, without root, without what built them, and labelled."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ("operator/Dockerfile", "router/Dockerfile", "worker-image/Dockerfile")
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+\.\d+[\w.-]*$")
LABELS = {"title", "description", "licenses", "version", "revision"}


@pytest.mark.parametrize("path", [*RELEASED, "examples/Dockerfile"])
def test_every_stage_stands_on_a_pinned_image_or_another_stage(path: str) -> None:
    text = (ROOT / path).read_text()
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    stages: set[str] = set()

    for parent, stage in re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE):
        named = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], parent)
        assert named in stages or PINNED.match(named), f"{path}: FROM {parent}"
        stages.add(stage)


def test_all_images_have_one_base() -> None:
    bases = {
        base
        for path in RELEASED
        for base in re.findall(r"^ARG BASE=(\S+)$", (ROOT / path).read_text(), re.MULTILINE)
    }

    assert len(bases) == 1


@pytest.mark.parametrize("path", RELEASED)
def test_images_run_as_a_number_that_is_not_root(path: str) -> None:
    """Kubernetes can not tell whether a user that is named is root."""
    text = (ROOT / path).read_text()

    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["65532:65532"]


@pytest.mark.parametrize("path", RELEASED)
def test_images_say_what_they_are(path: str) -> None:
    labels = re.findall(r"org\.opencontainers\.image\.(\w+)=", (ROOT / path).read_text())

    assert set(labels) == LABELS


@pytest.mark.parametrize("path", RELEASED)
def test_what_builds_stays_out_of_the_image(path: str) -> None:
    """Final stages take folders from others, and install nothing."""
    stages = re.split(r"^FROM ", (ROOT / path).read_text(), flags=re.MULTILINE)
    final = [stage for stage in stages[1:] if "/build/bin" not in stage]

    assert final
    assert not [stage for stage in final if re.search(r"\b(pip|apt-get|uv|gcc)\b", stage)]


def test_workers_have_an_image_for_each_shipped_adapter_and_one_for_gpus() -> None:
    text = (ROOT / "worker-image/Dockerfile").read_text()

    stages = set(re.findall(r"^FROM worker AS (\S+)$", text, re.MULTILINE))

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert stages == {*project["entry-points"]["pythonpool.adapters"], "neural-gpu"}


def test_the_example_stands_on_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f"worker-general:{version}\n" in (ROOT / "examples/Dockerfile").read_text()
