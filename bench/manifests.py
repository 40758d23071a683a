"""PythonPools for the benchmark, made of its own adapter."""

from pathlib import Path

from bench.programs import HERE

EXAMPLES = HERE.parent / "examples" / "pools.yaml"
POOL = "bench"


def execute(command: str, pool: str = POOL) -> str:
    """The path of a command."""
    return f"/v1/pools/{pool}/execute/{command}"


def manifest(folder: Path, spec: str, name: str = POOL) -> Path:
    """A manifest of one pool of bench/pools/workbench.py, in a new folder with it.

    Args:
        folder: where; made when it is not there.
        spec: what stands under `spec:`, two spaces in; without the adapter.
        name: the pool's.
    """
    folder.mkdir(exist_ok=True)
    adapter = folder / "workbench.py"
    if not adapter.exists():
        adapter.symlink_to(HERE / "pools" / "workbench.py")
    path = folder / f"{name}.yaml"
    path.write_text(
        "apiVersion: pythonpool.dev/v1alpha1\nkind: PythonPool\n"
        f"metadata:\n  name: {name}\nspec:\n  adapter: workbench:Workbench\n{spec}"
    )
    return path
