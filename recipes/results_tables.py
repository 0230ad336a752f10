"""Tables of results: evaluations are stored small, and pages get their tables from these.

Usage: python -m recipes.results_tables store EVALUATION --as NAME [--run RUN] [--command "…"]...
       python -m recipes.results_tables write    # every table anew, into the pages

`store` keeps the figures that some table shows, out of what `flowllm evaluate` wrote, in
docs/results/data/NAME.json, with the commands that made them and what they depended on. `write`
replaces what stands between `<!-- generated: NAME -->` and `<!-- end -->` in a page by the table
of that name (`recipes.results_pages`). A test holds the pages against the stored figures.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowllm import Report
from flowllm.evaluation.metric import Metric
from flowllm.runs.files import read_record, write_json
from recipes.results_pages import TABLES, figures_shown
from recipes.systems_table import table

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "results" / "data"
DIGITS = 6
"""Of a stored figure; tables show fewer."""
PROTOCOL = ("reference", "known", "relaxer", "optimiser", "hull", "denominator")
SETTINGS = ("inputs", "reference", "fmax", "steps", "relax_num", "hull", "seed")
MARKED = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


# ---- stored figures ------------------------------------------------------------------------------


def store(folder: Path, name: str, commands: Iterable[str], made: Path | None = None) -> Path:
    """Keep what the tables show of an evaluation.

    Args:
        folder: what `flowllm evaluate` wrote.
        name: of the file in docs/results/data.
        commands: those that made the crystals and evaluated them.
        made: what `flowllm generate` wrote, for name and digest of the weights; None without.
    """
    report, run = Report.load(folder), read_record(folder / "run.json")
    protocol = {
        key: text
        for stage in report.protocol.values()
        for key, text in stage.items()
        if key in PROTOCOL
    }
    record = {
        "commands": list(commands),
        "version": run["version"],
        "model": read_record(made / "run.json")["settings"]["model"] if made else "",
        "settings": {key: run["settings"][key] for key in SETTINGS if key in run["settings"]},
        "crystals": len(report.rows),
        "protocol": protocol,
        "figures": [small(metric) for metric in report if metric.name in figures_shown()],
    }
    path = DATA / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, record)
    return path


def small(metric: Metric) -> dict[str, Any]:
    """A figure as it is stored."""
    row = {key: value for key, value in metric.to_json().items() if value not in (None, "")}
    row.pop("note", None)
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for key, value in row.items()
    }


def stored(name: str) -> list[Metric]:
    """The figures of an evaluation that was stored."""
    record = json.loads((DATA / f"{name}.json").read_text("utf-8"))
    empty = {"value": None, "low": None, "high": None, "n": 0}
    return [Metric.from_json({**empty, **row}) for row in record["figures"]]


# ---- pages ---------------------------------------------------------------------------------------


def markdown(name: str) -> str:
    """The table of a name."""
    wanted = TABLES[name]
    columns = {
        title: {row.label: column.cell(row, stored) for row in wanted.rows}
        for title, column in wanted.columns.items()
    }
    return table([row.label for row in wanted.rows], columns)


def written(text: str) -> str:
    """The text of a page with its tables anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{markdown(found[2])}\n{found[3]}", text)


def pages() -> list[Path]:
    """The pages that hold such tables."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path for path in texts if MARKED.search(path.read_text("utf-8")))


def main() -> None:
    """Read the command line; store an evaluation, or write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    actions = parser.add_subparsers(dest="action", required=True)
    storing = actions.add_parser("store", help="keep the figures of an evaluation")
    storing.add_argument("folder", type=Path)
    storing.add_argument("--as", dest="name", required=True)
    storing.add_argument("--run", type=Path)
    storing.add_argument("--command", action="append", default=[])
    actions.add_parser("write", help="the tables into the pages")
    arguments = parser.parse_args()
    if arguments.action == "store":
        print(store(arguments.folder, arguments.name, arguments.command, arguments.run))
        return
    for path in pages():
        path.write_text(written(path.read_text("utf-8")), "utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
