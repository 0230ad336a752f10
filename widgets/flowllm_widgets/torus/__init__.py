"""Flow matching on the flat torus in two dimensions, for teaching."""
