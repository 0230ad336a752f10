"""A network on periodic point clouds, invariant to axes, origin and choice of cell."""
