"""A crystal by its symmetry: space group, orbits, cell, free coordinates."""
