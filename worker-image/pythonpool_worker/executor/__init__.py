"""The only process that runs the user's adapter: one call after the other, from its channel.

The keeper makes the process and sets it up; the agent talks to it (protocols.md, section 3).
"""

from pythonpool_worker.executor.main import run_executor
from pythonpool_worker.executor.runner import preload_loops
from pythonpool_worker.executor.settings import ExecutorSettings

__all__ = ["ExecutorSettings", "preload_loops", "run_executor"]
