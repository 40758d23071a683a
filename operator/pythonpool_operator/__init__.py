"""The operator: makes worker pods out of PythonPools and says how they are."""
