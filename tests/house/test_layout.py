"""The house keeps its shape: sizes, names, docstrings, and the traps of a folder named operator."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ["pythonpool", "router", "worker-image", "local", "cli", "operator", "examples", "bench"]
MODULES = [
    path
    for top in CODE
    for path in sorted((ROOT / top).rglob("*.py"))
    if ROOT / "bench/out" not in path.parents
]
PARTS = ["operator", "router", "worker-image", "local", "cli"]


def tracked() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("part", PARTS)
def test_part_folders_hold_only_a_package(part: str) -> None:
    """`operator/__init__.py` would shadow the standard library, on some machines only."""
    loose = [path.name for path in (ROOT / part).glob("*.py")]

    assert loose == []


def test_no_module_over_400_lines() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}

    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def test_no_function_over_60_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in MODULES
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > 60
    ]

    assert long == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]

    assert silent == []


def test_no_pickle_on_any_wire_or_disk() -> None:
    """DESIGN: nothing is pickled; an unpickled byte is somebody else's code."""
    importers = [
        str(path.relative_to(ROOT))
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any("pickle" in (getattr(node, "module", None) or alias.name) for alias in node.names)
    ]

    assert importers == []


def test_tests_stay_free_of_init_files() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_paths_of_one_machine_in_what_is_committed() -> None:
    """A clone must work anywhere."""
    foreign = ["/work" + "/main", "/root" + "/.pyenv", "/home" + "/user/"]
    found = []
    for name in tracked():
        text = (ROOT / name).read_bytes()
        found += [f"{name}: {mark}" for mark in foreign if mark.encode() in text]

    assert found == []


def test_importing_pythonpool_alone_is_cheap() -> None:
    """Executors and the CLI import it first; heavy parts come when they are used."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, pythonpool; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    heavy = {"pydantic", "aiohttp", "urllib3", "asyncio", "starlette", "structlog"}
    assert heavy & set(loaded) == set()
