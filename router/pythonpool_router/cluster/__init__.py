"""The router in a cluster: pools, pods and tokens from the API server; imported there alone."""
