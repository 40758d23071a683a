"""Why a process ended, in the words of the protocol. Pure."""

import os
import signal


def cause_of(code: int, status: int, killed_for_memory: bool, kernel_ran_out: bool) -> str:
    """`memory`, `oom`, `signal:N` or `exit:N`.

    Args:
        code: `si_code` of waitid: CLD_EXITED, CLD_KILLED or CLD_DUMPED.
        status: exit status or signal number.
        killed_for_memory: the keeper itself has killed it over the limit.
        kernel_ran_out: the kernel has just killed in the worker's own container for memory.
    """
    if killed_for_memory:
        return "memory"
    if code == os.CLD_EXITED:
        return f"exit:{status}"
    if status == signal.SIGKILL and kernel_ran_out:
        return "oom"
    return f"signal:{status}"
