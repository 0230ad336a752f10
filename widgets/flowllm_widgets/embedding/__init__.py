"""Crystals of several systems in two dimensions, with similar ones close together."""
