"""The cell and its maps to unbounded coordinates, for teaching."""
