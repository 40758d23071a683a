"""The four things that tie an executor to the keeper: channel, output, label page, stack pipe."""

import mmap
import os
import socket

LABEL_BYTES = 4096


class Ends:
    """The keeper's ends of one executor.

    Attributes:
        channel: our end of the socket pair; closed once the agent has it.
        output: what the executor writes to stdout and stderr; non-blocking.
        stack: what `faulthandler` writes just before a kill; non-blocking.
        label: the page with the id of the running call.
    """

    __slots__ = ("channel", "label", "output", "stack")

    def __init__(self, channel: socket.socket, output: int, stack: int, label: mmap.mmap) -> None:
        self.channel = channel
        self.output = output
        self.stack = stack
        self.label = label

    def running_call(self) -> str:
        """The id that the label page shows, or empty: no call, or several."""
        length = min(self.label[0], 255)
        return self.label[1 : 1 + length].decode(errors="replace")

    def close(self) -> None:
        """Close what is left; the caller has told the loop before."""
        self.channel.close()
        os.close(self.output)
        os.close(self.stack)
        self.label.close()


def make_ends() -> tuple[Ends, list[int]]:
    """The keeper's ends and, for the executor: channel, output, label and stack, in this order.

    The caller closes the executor's ends once they are handed over.

    Raises:
        OSError: no more descriptors.
    """
    made: list[int] = []
    try:
        ours, theirs = socket.socketpair()
        made += os.pipe2(os.O_CLOEXEC)
        made += os.pipe2(os.O_CLOEXEC)
        made.append(os.memfd_create("label"))
        output_reader, output_writer, stack_reader, stack_writer, label_file = made
        os.ftruncate(label_file, LABEL_BYTES)
        label = mmap.mmap(label_file, LABEL_BYTES)
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise
    ours.setblocking(False)
    for descriptor in (output_reader, stack_reader):
        os.set_blocking(descriptor, False)
    ends = Ends(ours, output_reader, stack_reader, label)
    return ends, [theirs.detach(), output_writer, label_file, stack_writer]
