"""`python -m pythonpool_worker.template`: started by the keeper, never by hand."""

import sys

from pythonpool_worker.template.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
