"""A flow that keeps the symmetry of what it refines, learnt from crystals and noise alone."""
