"""The thin HTTP router: parses a call, picks a slot, passes bytes both ways, counts."""
