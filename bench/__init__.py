"""The benchmark: what a call costs, beside nginx and haproxy in the same run. See `make bench`."""
