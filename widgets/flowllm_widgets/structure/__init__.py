"""Crystals in 3-D, still and moving: drawn as arrays, then by nglview, or by what there is."""
