"""Crystals as arrays: the batch that every room shares, trajectories, elements, CIF, distances."""
