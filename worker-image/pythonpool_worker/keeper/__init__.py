"""The keeper owns processes: template, executors, killing, memory, output. No network."""
