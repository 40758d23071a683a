"""The images of a release: pinned, without root, without what built them, and labelled."""

import json
import re
import subprocess
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
    assert f"/shop:{version}}}" in (ROOT / "examples/shop.yaml").read_text()


@pytest.mark.parametrize("path", RELEASED)
def test_nothing_comes_in_that_is_not_pinned(path: str) -> None:
    """From requirements/ with hashes, or from this checkout without a network."""
    text = (ROOT / path).read_text().replace("\\\n", " ")

    installs = re.findall(r"\b(?:pip install|uv build)\b(.*?)(?:&&|$)", text, re.MULTILINE)

    files = set(re.findall(r"--require-hashes -r requirements/(\S+)\.txt", text))
    assert installs
    assert all("--require-hashes" in each or "--offline" in each for each in installs)
    assert files == set(re.findall(r"^COPY requirements/(\S+)\.txt requirements/$", text, re.M))


@pytest.mark.parametrize("path", RELEASED)
def test_layers_of_others_code_stay_until_what_is_pinned_changes(path: str) -> None:
    """pyproject.toml changes more often than they do, and comes with this project's code."""
    copied = re.findall(r"^COPY (?!--from)(.*)$", (ROOT / path).read_text(), re.MULTILINE)

    assert [each for each in copied if not each.startswith("requirements/")] == [". ."]


INSTRUCTIONS = {"FROM", "ARG", "ENV", "LABEL", "RUN", "COPY", "WORKDIR", "USER"} | {
    "ENTRYPOINT",
    "CMD",
}


def instructions(path: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their words, each on one line."""
    lines = [line for line in (ROOT / path).read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined.split("\n") if line]


@pytest.mark.parametrize("path", [*RELEASED, "examples/Dockerfile"])
def test_every_line_is_an_instruction_that_holds(path: str) -> None:
    """Of stages too that are not built here, as that for GPUs: no word is left to chance."""
    found = instructions(path)
    known = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / path).read_text(), re.MULTILINE))

    assert {name for name, _ in found} <= INSTRUCTIONS
    for name, words in found:
        if name == "RUN":
            subprocess.run(["sh", "-n", "-c", words], check=True)
        if name == "COPY" and words.startswith("--from="):
            assert words.split()[0].removeprefix("--from=") in known, words
        if name in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(words))


@pytest.mark.parametrize("path", RELEASED)
def test_every_argument_is_known_where_it_is_used(path: str) -> None:
    """An ARG ends with its stage; where it is not known there is nothing in its place."""
    known: set[str] = set()
    for name, words in instructions(path):
        if name == "FROM":
            known = set()
        elif name == "ARG":
            known.add(words.partition("=")[0])
        elif name == "LABEL":
            assert set(re.findall(r"\$\{(\w+)\}", words)) <= known, words
