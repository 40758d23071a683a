"""The entry point of `pythonpool` and of `kubectl pythonpool`, ready for Ctrl-C before all else."""

import sys


def main() -> None:
    """Run the verb that was typed, and end with its exit code."""
    try:
        # Not above: a Ctrl-C while this is imported has to be a line, too.
        from pythonpool_cli import verbs

        code = verbs.main()
    except KeyboardInterrupt:
        print("pythonpool: cancelled", file=sys.stderr, flush=True)
        code = 130
    sys.exit(code)
