"""StabilityView: a crystal relaxed before one's eyes, and its place among known phases."""
