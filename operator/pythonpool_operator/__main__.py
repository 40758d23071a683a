"""`python -m pythonpool_operator`."""

import sys

from pythonpool_operator.main import main

sys.exit(main(sys.argv[1:]))
