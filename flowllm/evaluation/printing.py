"""An evaluation as a table: in the terminal, as text, and in a notebook."""

from __future__ import annotations

import html
import io

from rich.console import Console
from rich.table import Table

from flowllm.evaluation.result import EvaluationResult
from flowllm.runs.terminal import cell, heading

WIDTH = 110  # characters of a report that is printed as text


def print_report(report: EvaluationResult, console: Console | None = None) -> None:
    """Print metrics with interval and n, the training split's score, and the protocol."""
    console = console or Console()
    shown = Table(
        "stage", "figure", heading(report.name), "data", title="Evaluation", title_justify="left"
    )
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


def report_text(report: EvaluationResult) -> str:
    """The output of `print_report` as text."""
    buffer = io.StringIO()
    print_report(report, Console(file=buffer, width=WIDTH, no_color=True))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def report_html(report: EvaluationResult) -> str:
    """The figures as a table of HTML, for notebooks."""
    rows = [("stage", "figure", report.name, "data"), *report.table()]
    lines = []
    for place, row in enumerate(rows):
        tag = "td" if place else "th"
        cells = "".join(f"<{tag}>{html.escape(str(text))}</{tag}>" for text in row)
        lines.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"
