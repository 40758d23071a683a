"""The template: imports the user's adapter once, then forks executors at the keeper's word."""
