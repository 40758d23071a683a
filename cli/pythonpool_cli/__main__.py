"""`python -m pythonpool_cli`."""

from pythonpool_cli.main import main

main()
