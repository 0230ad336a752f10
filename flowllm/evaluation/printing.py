"""A report as a table in the terminal."""

from __future__ import annotations

from flowllm.evaluation.report import Report


def print_report(report: Report) -> None:
    """Figures with interval and n, what the training split scores, and the protocol below."""
    from rich.console import Console
    from rich.table import Table

    from flowllm.runs.terminal import cell, heading

    console = Console()
    columns = ("stage", "figure", heading(report.name), "data")
    shown = Table(*columns, title="Evaluation", title_justify="left")
    before = ""
    for stage, name, value, data in report.table():
        if before and stage != before:
            shown.add_section()
        shown.add_row(stage if stage != before else "", cell(name), cell(value), data)
        before = stage
    console.print(shown)
    protocol = Table("protocol", "", "", title_justify="left", box=None)
    for stage, settings in report.protocol.items():
        for place, (name, value) in enumerate(settings.items()):
            protocol.add_row("" if place else stage, cell(name), cell(value))
    console.print(protocol)
