"""What stands behind `pythonpool.adapter`: loading, the catalogue, strict args, results."""
