"""Metrics of crystals: validity, matching, properties, the summary of a batch."""
