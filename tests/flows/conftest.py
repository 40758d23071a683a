"""What flows share: a short home of their own, and a house that is closed afterwards."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flows.house import House, open_house


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty PYTHONPOOL_HOME, short enough for Unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="pp-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def house(home: Path) -> Iterator[Callable[..., House]]:
    """Start `up`: `house(text_or_path, …, options=(…))`; manifests as text go to files first.

    Every house is closed after the test, and must leave nothing below run/.
    """
    opened: list[House] = []

    def start(*manifests: str | Path, options: tuple[str, ...] = ()) -> House:
        files = [_as_file(home, index, given) for index, given in enumerate(manifests)]
        opened.append(open_house(home, files, *options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    if opened:
        assert list((home / "run").iterdir()) == []


def _as_file(home: Path, index: int, given: str | Path) -> Path:
    if isinstance(given, Path):
        return given
    path = home / f"pools-{index}.yaml"
    path.write_text(given)
    return path
