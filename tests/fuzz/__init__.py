"""A mutation fuzzer over everything that reads what a user or another program wrote."""
