"""What `import pythonpool` offers: all of it, sorted, and nothing loaded before it is used."""

import subprocess
import sys

import pythonpool
from pythonpool import errors


def test_all_is_sorted_and_everything_in_it_is_there() -> None:
    assert pythonpool.__all__ == sorted(pythonpool.__all__)
    for name in pythonpool.__all__:
        assert getattr(pythonpool, name) is not None


def test_every_error_class_is_exported() -> None:
    names = {kind.__name__ for kind in errors.BY_CODE.values()} | {"PythonPoolError"}

    assert names <= set(pythonpool.__all__)


def test_the_import_alone_loads_nothing() -> None:
    """Executors import it in every start; urllib3 and aiohttp are half a second."""
    code = (
        "import sys; before = set(sys.modules); import pythonpool;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.split() == ["pythonpool"]
