"""StabilityView: live relaxation of a crystal, and its place among known phases."""
