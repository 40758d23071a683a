"""`python -m pythonpool_worker.agent`."""

import sys

from pythonpool_worker.agent.main import main

if __name__ == "__main__":
    sys.exit(main())
