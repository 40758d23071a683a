"""Agent and keeper as the two containers of a pod start them, without a pod around them."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_house import ClusterHouse

Process = asyncio.subprocess.Process

_FOLDER_OF_EXAMPLES = str(Path(__file__).parent.parent / "examples")


@dataclass
class PodStage:
    """The folder that both share, the folder of token and authority, and their processes."""

    name: str
    folder: Path
    secrets: Path
    probe: Path
    agent: Process
    keeper: Process

    async def probed(self, path: str) -> int:
        """The status of a probe; 0: nobody listens yet."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.probe)
        except (FileNotFoundError, ConnectionRefusedError):
            return 0
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split()[1])

    async def ends(self) -> tuple[int, int]:
        """The exit codes of agent and keeper."""
        async with asyncio.timeout(20):
            return await self.agent.wait(), await self.keeper.wait()


@contextlib.asynccontextmanager
async def pod_stage(
    house: ClusterHouse,
    name: str,
    *,
    has_authority: bool = True,
    in_place: bool = False,
    **spec: Any,
) -> AsyncIterator[PodStage]:
    """Start both; the routers are looked up under the name `localhost`."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "token").write_text(house.token(name) + "\n")
    if has_authority:
        shutil.copy(house.authority.file, secrets / "ca.crt")
    document = {
        "pool": "general",
        "generation": 0,
        "spec": {"adapter": "general", **spec},
        "import_path": [_FOLDER_OF_EXAMPLES],
        "one_machine": False,
        "recycles_in_place": in_place,
    }
    (folder / "worker.json").write_text(json.dumps(document))
    both = ("--config", str(folder / "worker.json"), "--worker", name)
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pythonpool_worker.keeper", *both),
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"},
    )
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "pythonpool_worker.agent", *both),
        *("--router", f"tls:localhost:{house.link_port}"),
        *("--token-file", str(secrets / "token")),
        *("--ca-file", str(secrets / "ca.crt")),
        *("--probe", f"unix:{folder / 'probe.sock'}"),
    )
    try:
        yield PodStage(name, folder, secrets, folder / "probe.sock", agent, keeper)
    finally:
        if agent.returncode is None:
            agent.send_signal(signal.SIGINT)
        await agent.wait()
        if keeper.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await keeper.wait()
        if keeper.returncode is None:
            keeper.kill()
            await keeper.wait()
        shutil.rmtree(folder, ignore_errors=True)
