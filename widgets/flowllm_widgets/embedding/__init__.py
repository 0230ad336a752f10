"""Crystals of several systems in two dimensions, neighbours beside each other."""
