"""Crystals in a table that one sorts and filters, with the one chosen in 3-D."""
