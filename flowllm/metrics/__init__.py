"""Metrics of crystals from anywhere: validity, matching, properties, the summary of a batch."""
