"""Data and measurements for the notebooks."""
