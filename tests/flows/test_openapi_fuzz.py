"""schemathesis over /openapi.json of a real `up`, with every check: the document is the truth."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flows.house import House, manifest

TESTS = Path(__file__).parents[1]
PATIENCE_SECONDS = 240

GENERAL = manifest(
    "general",
    """
    adapter: general
    concurrency: 4
    resources: {memory: 256Mi}
    maxTimeoutSeconds: 86400
    queue: {timeoutSeconds: 1}
    sessions: {maxTtlSeconds: 604800, maxPerWorker: 100}
    """,
)


@pytest.mark.timeout(PATIENCE_SECONDS + 40)
def test_what_the_document_says_holds(house: Callable[..., House], tmp_path: Path) -> None:
    """Statuses, content types, schemas, methods, Allow, tokens; what is valid and what is not."""
    up = house(GENERAL)
    program = Path(sys.executable).with_name("schemathesis")
    ran = subprocess.run(
        [
            str(program), "--config-file", str(TESTS / "hostile/schemathesis.toml"),
            "run", f"{up.url}/openapi.json", "--header", f"Authorization: Bearer {up.token}",
            "--checks", "all", "--workers", "1", "--continue-on-failure", "--no-color",
            "--warnings", "off", "--request-timeout", "30",
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS), "SCHEMATHESIS_HOOKS": "hostile.schemahooks"},
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    with up.client() as client:
        assert client.execute("general", "echo", {"n": 1})["echoed"] == {"n": 1}
