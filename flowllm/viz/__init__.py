"""The report: one HTML page that opens without any network."""

from flowllm.viz.page import write_report

__all__ = ["write_report"]
