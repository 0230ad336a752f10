"""Conditions on a crystal: how they are written, and whether they can be met."""
