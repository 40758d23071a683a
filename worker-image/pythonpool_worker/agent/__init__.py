"""The agent speaks: link, slots, deadlines, sessions, probes, drain. Never runs user code."""
