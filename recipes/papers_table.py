"""The tables of the papers' own experiments, from what `recipes/papers.sh` measured, as Markdown.

python -m recipes.papers_table FOLDER > docs/results/papers.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from flowllm import Report
from recipes.systems_table import column, table

TAUS, TOPS = ("0.5", "0.7", "0.9", "1.0"), ("0.9", "0.95", "1.0")
NOISES = ("0.005", "0.01", "0.02", "0.04")
STEPS = ("1", "2", "5", "10", "25", "100", "250")
PROXIES = (
    "valid structure, no self-images", "valid composition", "recall", "precision",
    "wdist density, 1000 valid", "wdist N_el, 1000 valid", "unique and novel",
)  # fmt: skip
RELAXED = (
    "matches its relaxed state", "RMSD to the relaxed state", "energy drop",
    "energy drop, median", "volume changes by over 5 %", "optimiser steps", "E_hull",
    "metastable (< 0.1)", "M.S.U.N. (< 0.1)",
)  # fmt: skip
DEFAULT = "tau-0.7-0.9"


def main() -> None:
    """Print the tables of a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print("# The papers' experiments, with the weights that ship\n")
    print(f"`recipes/papers.sh {folder}`, `python -m recipes.papers_table {folder}`.\n")
    grid = {f"τ {tau}, P {top}": f"tau-{tau}-{top}" for tau in TAUS for top in TOPS}
    show(folder, "Temperature and nucleus (FlowLLM, table 1), refined", grid, "refined")
    show(folder, "The same as the language model drew them", grid, "prior")
    noise = {"no noise": DEFAULT} | {f"σ {value}": f"noise-{value}" for value in NOISES}
    show(folder, "Noise on the prior's values", noise, "refined")
    steps = {f"{value} steps": f"steps-{value}" for value in STEPS}
    show(folder, "Integration steps", steps, "refined")
    before = {"language model": "relaxed-run-prior", "and flow": "relaxed-run"}
    show(folder, "Closeness to the relaxed state, before and after the flow", before, "", RELAXED)


def show(
    folder: Path,
    title: str,
    cells: Mapping[str, str],
    part: str,
    names: Iterable[str] = PROXIES,
) -> None:
    """Print one table: a column for each cell that was evaluated."""
    places = {label: folder / name / part for label, name in cells.items()}
    found = {
        label: column([Report.load(place)], names)
        for label, place in places.items()
        if (place / "summary.json").is_file()
    }
    if found:
        print(f"## {title}\n")
        print(table([name for name in names if any(name in c for c in found.values())], found))


if __name__ == "__main__":
    main()
