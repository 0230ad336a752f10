"""Workflows: what each command does from its input to its files."""
