"""Adherence as tables: one row per crystal, Markdown for a model card, and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowllm.conditions.conditions import KINDS, written_value
from flowllm.evaluation.adherence.figures import ENERGIES, Outcome, kept
from flowllm.evaluation.adherence.kinds import OF_TYPES, Target
from flowllm.text.prompts import without_frame

Row = Mapping[str, Any]


def table_of(
    kind: str,
    mode: str,
    targets: Sequence[Target],
    prompts: Sequence[str],
    prior: Outcome,
    refined: Outcome,
    relaxed: Mapping[str, np.ndarray],
) -> list[dict[str, Any]]:
    """A row per prompt: the request, the result, and whether they agree."""
    asked = [target.conditions for target in targets]
    names = asked[0].known()
    hits = {name: kept(asked, prior, name) for name in OF_TYPES if name in names}
    rows = []
    for place, (target, prompt) in enumerate(zip(targets, prompts, strict=True)):
        cell = prior.compositions[place]
        row: dict[str, Any] = {
            "kind": kind,
            "constraints": mode,
            "index": place,
            "source": target.source,
            "prompt": without_frame(prompt),
            "written": cell is not None,
            "formula": prior.formulas[place],
            "composition": "" if cell is None else written_value("composition", cell),
        }
        for name in KINDS:
            value = getattr(target.conditions, name)
            row[f"asked_{name}"] = "" if value is None else written_value(name, value)
        row |= {f"kept_{name}": bool(found[place]) for name, found in hits.items()}
        for stage, found in (("prior", prior), ("refined", refined)):
            for tolerance, groups in found.space_groups.items():
                row[f"space_group_{stage}_{tolerance:g}"] = int(groups[place])
            row |= {f"{name}_{stage}": v[place] for name, v in found.energies.items()}
        row |= {f"{name}_relaxed": relaxed[name][place] for name in ENERGIES if name in relaxed}
        rows.append(row)
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """The figures as a Markdown table: a line for each figure of each kind, a column for each mode.

    A mode that was not measured, or a figure that it has not, is left empty.
    """
    modes = [m for m in ("without", "with") if any(row["constraints"] == m for row in rows)]
    lines = ["| asked | figure | " + " | ".join(f"{m} constraints" for m in modes) + " |"]
    lines.append("|---" * (2 + len(modes)) + "|")
    before = ""
    for kind, figure, texts in joined(rows, modes):
        lines.append("| " + " | ".join([kind if kind != before else "", figure, *texts]) + " |")
        before = kind
    return "\n".join(lines) + "\n"


def joined(rows: Sequence[Row], modes: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """(kind, figure with its stage, its text in each mode), in the order of the rows."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        figure = row["figure"] + (f", {row['stage']}" if row["stage"] else "")
        found.setdefault((row["kind"], figure), {})[row["constraints"]] = row["text"]
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    ordered = sorted(found, key=lambda key: kinds.index(key[0]))
    return [(*key, [found[key].get(mode, "") for mode in modes]) for key in ordered]


def print_adherence(summary: Mapping[str, Any]) -> None:
    """The figures as a table in the terminal, the protocol below."""
    from rich.console import Console
    from rich.table import Table

    from flowllm.runs.terminal import say

    rows = summary["figures"]
    modes = [m for m in ("without", "with") if any(row["constraints"] == m for row in rows)]
    shown = Table("asked", "figure", *(f"{m} constraints" for m in modes), title="Adherence")
    before = ""
    for kind, figure, texts in joined(rows, modes):
        if before and kind != before:
            shown.add_section()
        shown.add_row(kind if kind != before else "", figure, *texts)
        before = kind
    console = Console()
    console.print(shown)
    for name, text in summary["protocol"].items():
        say(f"{name}: {text}")
