"""Widgets for notebooks: each one shows what `flowllm` computed, data to figure to thin widget."""
