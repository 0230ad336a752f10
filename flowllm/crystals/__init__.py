"""Crystals as arrays: the shared batch type, trajectories, elements, CIF, distances."""
