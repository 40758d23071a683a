"""One machine: the supervisor that does for processes what a Deployment does for pods."""
