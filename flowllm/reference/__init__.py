"""References that ship with the package: what generated crystals are compared with."""
