"""Every situation of the guide has a test that makes it happen, and every such test has its row."""

import re
from pathlib import Path

from guide import rows

TESTS = Path(__file__).parents[1] / "flows"
_TEST = re.compile(r"^def test_(\w+)\(", re.MULTILINE)


def test_each_row_has_its_test() -> None:
    texts = [path.read_text() for path in TESTS.glob("test_hard_*.py")]
    named = {name.replace("_", "-") for text in texts for name in _TEST.findall(text)}

    assert set(rows()) == named
