"""A report as a table in the terminal."""

from __future__ import annotations

from flowllm.evaluation.report import Report


def print_report(report: Report) -> None:
    """Figures with interval and n, what the training split scores, and the protocol below."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    shown = Table("stage", "figure", report.name, "data", title="Evaluation", title_justify="left")
    before = ""
    for stage, name, value, data in report.table():
        if before and stage != before:
            shown.add_section()
        shown.add_row(stage if stage != before else "", name, value, data)
        before = stage
    console.print(shown)
    protocol = Table("protocol", "", "", title_justify="left", box=None)
    for stage, settings in report.protocol.items():
        for place, (name, value) in enumerate(settings.items()):
            protocol.add_row("" if place else stage, name, value)
    console.print(protocol)
