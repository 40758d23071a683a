"""A worker: agent, keeper, template and executors."""
