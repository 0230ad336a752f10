"""References that ship with the package, for comparison with generated crystals."""
