"""`python -m pythonpool_router`."""

import sys

from pythonpool_router.main import main

sys.exit(main())
