"""What images are made of: pinned by hash, the same in all of them, as pyproject asks for."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
EXTRAS: dict[str, tuple[str, ...]] = {
    "general": (),
    "router": ("cluster",),
    "operator": ("operator",),
    "optimizer": ("dspy",),
    "neural": ("neural",),
    "neural-gpu": ("neural", "cuda12"),
}
"""Name of the file, to the extras of pyproject.toml that its image has."""
ASKED_FOR = "pythonpool (pyproject.toml)"
PIN = re.compile(r"([a-z0-9.-]+)(?:\[.*\])?==(\S+) \\")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a file: its version, how many hashes it has, and who asks for it."""

    name: str
    version: str
    hashes: int
    asked_by: frozenset[str]


def pins(name: str) -> Iterator[Pin]:
    """The packages of `requirements/NAME.txt`."""
    text = (FOLDER / f"{name}.txt").read_text()
    for entry in re.split(r"\n(?=[a-z])", text)[1:]:
        found = PIN.match(entry)
        assert found, entry.splitlines()[0]
        hashes = re.findall(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$", entry, re.MULTILINE)
        notes = re.findall(r"^    #(?: via)? *(.*)$", entry, re.MULTILINE)
        yield Pin(found[1], found[2], len(hashes), frozenset(filter(None, notes)))


def project() -> dict[str, Any]:
    """The file that says what is asked for."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    """What pyproject.toml asks for with these extras."""
    table = project()["project"]
    lines = [*table["dependencies"]]
    for extra in extras:
        lines += table["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def test_every_image_has_its_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*EXTRAS, "build"}


@pytest.mark.parametrize("name", [*EXTRAS, "build"])
def test_every_package_has_its_hashes(name: str) -> None:
    found = list(pins(name))

    assert found
    assert [pin.name for pin in found if not pin.hashes] == []


@pytest.mark.parametrize("name", [*EXTRAS, "build"])
def test_no_file_names_a_registry(name: str) -> None:
    """Whoever builds takes packages from where he is used to; the hashes say which."""
    assert "://" not in (FOLDER / f"{name}.txt").read_text()


@pytest.mark.parametrize(("name", "extras"), EXTRAS.items(), ids=list(EXTRAS))
def test_the_pins_are_those_of_pyproject(name: str, extras: tuple[str, ...]) -> None:
    """A dependency that was added, dropped or moved on needs `make lock`."""
    versions = {pin.name: pin.version for pin in pins(name) if ASKED_FOR in pin.asked_by}
    requirements = wanted(extras)

    assert set(versions) == {canonicalize_name(each.name) for each in requirements}
    for each in requirements:
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), each


def test_what_builds_is_pinned_too() -> None:
    versions = {pin.name: pin.version for pin in pins("build")}

    assert "uv" in versions
    for line in project()["build-system"]["requires"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), line


def test_images_share_one_version_of_each() -> None:
    """Layers are shared, and routers and workers read each other's bytes with the same parser."""
    found: dict[str, set[str]] = {}
    for name in EXTRAS:
        for pin in pins(name):
            found.setdefault(pin.name, set()).add(pin.version)

    assert {name for name, versions in found.items() if len(versions) > 1} == set()
