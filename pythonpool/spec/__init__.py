"""The parts of the PythonPool resource that `pythonpool.pool` puts together."""
