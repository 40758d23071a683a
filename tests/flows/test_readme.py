"""What README promises a newcomer, typed for real: the shop, the commands, the client, curl."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flows.house import House, environment, manifest, pythonpool

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(kind: str, word: str) -> str:
    """The code block of a language that holds a word; there is exactly one."""
    blocks: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
    (found,) = [text for name, text in blocks if name == kind and word in text]
    return found


def typed(start: str) -> list[list[str]]:
    """The arguments of README's lines that begin with `pythonpool START`."""
    lines: list[str] = re.findall(rf"^pythonpool ({start}.*)$", README, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def shop(home: Path, house: Callable[..., House]) -> House:
    """The shop of README in an empty folder, running."""
    (home / "shop.py").write_text(block("python", "shop.py"))
    (home / "shop.yaml").write_text(block("yaml", "shop:Shop"))
    return house(home / "shop.yaml")


def test_the_shop_runs_as_it_is_printed(shop: House) -> None:
    """Its file, its manifest and its call give the price."""
    (call,) = typed("run shop")

    priced = pythonpool(shop.home, *call)

    assert (priced.returncode, priced.stdout, priced.stderr) == (0, "24.0\n", "")


def test_a_newcomers_slip_is_one_line_with_the_next_step(shop: House) -> None:
    """The line of the command that raised is named; a misspelt argument gets its neighbour."""
    raised = pythonpool(shop.home, "run", "shop", "price", "item=tin")
    misspelt = pythonpool(shop.home, "run", "shop", "price", "itm=mug")
    too_long = pythonpool(shop.home, "run", "shop", "price", "item=mug", "--timeout", "99999")

    line = 1 + block("python", "shop.py").splitlines().index(
        "        return self.prices[item] * count"
    )
    assert raised.returncode == 1
    assert raised.stderr == (
        f"pythonpool: price raised KeyError: 'tin' ({shop.home}/shop.py, line {line})\n"
    )
    assert 'did you mean "item"?; see: pythonpool commands shop\n' in misspelt.stderr
    assert too_long.stderr.endswith('it must be from 0.001 to 3600 in pool "shop"\n')


def test_the_first_steps(house: Callable[..., House]) -> None:
    """Every `pythonpool` line, the client's first lines, and curl, against the general pool."""
    up = house(ROOT / "examples" / "hello.yaml")

    echoed, computed, listed = (
        pythonpool(up.home, *arguments, "-o", "json")
        for arguments in (*typed("run general"), *typed("pools"))
    )

    assert json.loads(echoed.stdout)["echoed"] == {"message": "Hello from Python"}
    assert json.loads(computed.stdout)["result"] == 1024
    assert [pool["name"] for pool in json.loads(listed.stdout)["items"]] == ["general"]

    command = (
        block("sh", "state/pythonpool/token")
        .replace("~/.local/state/pythonpool/token", str(up.home / "token"))
        .replace("http://127.0.0.1:8080", up.url)
    )
    answer = subprocess.run(
        ["/bin/sh", "-c", command.replace("curl", "curl -sS", 1)],
        env=environment(up.home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout)["echoed"] == {"message": "hi"}


def test_the_client_block(house: Callable[..., House]) -> None:
    """As it is printed, in a script of its own that finds the running `up`."""
    up = house(manifest("general", "adapter: general"), manifest("neural", "adapter: neural"))

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", block("python", "Client()")],
        env=environment(up.home),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "'epoch': 10" in ran.stdout
