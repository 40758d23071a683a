"""`python -m pythonpool_worker.keeper --config worker.json [--worker NAME]`."""

import sys

from pythonpool_worker.keeper.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
