"""A network on periodic point clouds that knows no axes, no origin and no choice of cell."""
