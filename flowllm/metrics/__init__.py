"""Metrics: validity, matching, properties and the summary of a batch; crystals come from anywhere."""
