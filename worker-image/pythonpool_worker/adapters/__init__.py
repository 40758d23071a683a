"""The adapters that are shipped."""
