"""A flow that preserves symmetry, learnt from crystals and noise alone."""
