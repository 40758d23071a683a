"""The shipped adapters can be forked after `start`, and work in the child."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, os, sys
from pathlib import Path

from pythonpool.adapter import Context, Session
from pythonpool_worker.adapters.{module} import {name}

adapter = {name}()
adapter.config = adapter.config_model()
adapter.start()
names = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
found = {{
    "tasks": len(os.listdir("/proc/self/task")),
    "sockets": [str(it.readlink()) for it in names if it.exists() and it.is_socket()],
}}
child = os.fork()
if child:
    os.waitpid(child, 0)
    sys.exit()
adapter.open()
found["result"] = adapter.{call}
Path(sys.argv[1]).write_text(json.dumps(found))
os._exit(0)
"""


@pytest.mark.parametrize(
    ("needs", "module", "name", "call", "right"),
    [
        (
            "dspy",
            "optimizer",
            "Optimizer",
            "optimize_model(Context(), iterations=1)",
            "improved",
        ),
        (
            "jax",
            "neural",
            "Neural",
            'train_model(Context(session=Session("id", {})), epochs=10)',
            "accuracy",
        ),
    ],
    ids=["optimizer", "neural"],
)
def test_an_adapter_starts_without_threads_and_works_after_a_fork(
    needs: str, module: str, name: str, call: str, right: str, tmp_path: Path
) -> None:
    """With a thread or a socket its executors would be spawned, each from nothing."""
    pytest.importorskip(needs, reason=f"{needs} comes with an extra")
    program = PROGRAM.format(module=module, name=name, call=call)
    answer = tmp_path / "answer.json"

    subprocess.run(
        [sys.executable, "-c", program, str(answer)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=50,
    )

    found = json.loads(answer.read_text())
    assert found["tasks"] == 1
    assert found["sockets"] == []
    assert found["result"][right]
    assert [path.name for path in tmp_path.iterdir()] == ["answer.json"]
