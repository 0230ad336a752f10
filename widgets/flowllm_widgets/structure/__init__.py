"""Crystals in 3-D, still and moving: drawn by nglview, with fallbacks."""
