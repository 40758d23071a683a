"""`python -m pythonpool_worker.template.spawned`: an executor in a fresh interpreter.

For adapters that can not be forked. Started by the keeper with the same four descriptors.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from pythonpool.messages import Kind, frame
from pythonpool_worker.template.child import Ends, become_executor
from pythonpool_worker.template.worker import load, read_worker, why_not_started


def main(arguments: list[str]) -> None:
    """`FILE WORKER CHANNEL OUTPUT LABEL STACK`: worker.json, the name, four descriptors."""
    ends = Ends(*map(int, arguments[2:]))
    for number in (ends.channel, ends.output, ends.label, ends.stack):
        os.set_inheritable(number, False)
    worker = read_worker(Path(arguments[0]), arguments[1])
    keeper_pid = os.getppid()
    try:
        adapter = load(worker)
        adapter.start()
    except BaseException as error:  # noqa: BLE001 - whatever user code raised is the answer
        traceback.print_exc()
        reason = json.dumps({"reason": why_not_started(error)}).encode()
        os.write(ends.channel, frame(Kind.FAILED, 0, reason))
        sys.exit(1)
    become_executor(worker, adapter, ends, keeper_pid)


if __name__ == "__main__":
    main(sys.argv[1:])
