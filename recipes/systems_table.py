"""The tables of all systems, from what `recipes/bench_systems.sh` measured, as Markdown.

    python -m recipes.systems_table FOLDER > docs/results/systems.md

A figure stands with its bootstrap 95 % interval; behind it, in brackets, are those of further
sampling seeds. Published figures stand in `recipes/published.json`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from flowllm import Report
from flowllm.evaluation.metric import SHARE, Metric
from flowllm.runs.files import read_record

PUBLISHED = Path(__file__).with_name("published.json")
SYSTEMS = (
    "flowllm-symmetric", "flowllm", "crystalllm", "flowllm-types", "flowmm", "diffcsp",
    "crysllmgen", "crysllmgen-symmetric", "cdvae",
)  # fmt: skip
SEEDS = (0, 1, 2)
PROXIES = (
    "valid structure, no self-images", "valid composition", "recall", "precision",
    "contact below 0.7 of the covalent radii", "P1, symprec 0.1", "wdist density, 1000 valid",
    "wdist N_el, 1000 valid", "binaries", "unique and novel",
)  # fmt: skip
RELAXED = (
    "energy drop", "energy drop, median", "matches its relaxed state",
    "volume changes by over 5 %", "metastable (< 0.1)", "metastable (< 0.1), shifted",
    "M.S.U.N. (< 0.1)", "M.S.U.N. (< 0.1), shifted",
)  # fmt: skip
PREDICTION = ("match rate, 1 try, all pairs", "RMSE, 1 try", "METRe, 1 try", "cRMSE, 1 try")
TITLES = {
    "DNG": (
        "De novo generation: 1,000 crystals (300 of each further seed)",
        "de novo generation, MP-20",
    ),
    "relaxed": ("The same, a random 200 relaxed by CHGNet", "de novo generation, MP-20"),
    "CSP": (
        "Structure prediction: 1,000 test crystals, one try (300 of each further seed)",
        "structure prediction, MP-20 test",
    ),
}


def main() -> None:
    """Print the tables of a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    systems = [name for name in SYSTEMS if (folder / name).is_dir()]
    print("# Systems compared\n")
    print(f"`recipes/bench_systems.sh {folder}`, `python -m recipes.systems_table {folder}`.\n")
    for kind, names, pattern in (
        ("DNG", PROXIES, "dng-{}-proxies"),
        ("relaxed", RELAXED, "dng-{}-relaxed"),
        ("CSP", PREDICTION, "csp-{}-evaluated"),
    ):
        found = {name: reports(folder / name, pattern) for name in systems}
        found = {name: some for name, some in found.items() if some}
        title, published = TITLES[kind]
        print(f"## {title}\n")
        print(table(names, {name: column(some, names) for name, some in found.items()}))
        others = json.loads(PUBLISHED.read_text())[published]
        kept = {name: row for name, row in others.items() if set(row) & set(names)}
        print("Published:\n")
        print(table([n for n in names if any(n in row for row in kept.values())], kept))
    print("## Speed\n")
    print(table(("crystals", "seconds for 1,000"), {n: speed(folder / n) for n in systems}))


def reports(folder: Path, pattern: str) -> list[Report]:
    """The evaluations of a system, one for each seed that there is."""
    places = [folder / pattern.format(seed) for seed in SEEDS]
    return [Report.load(place) for place in places if (place / "summary.json").is_file()]


def column(found: Sequence[Iterable[Metric]], names: Iterable[str]) -> dict[str, str]:
    """Figure -> its text."""
    texts = {}
    for name in names:
        metrics = [metric for report in found for metric in report if metric.name == name]
        if metrics:
            more = f" [{', '.join(short(metric) for metric in metrics[1:])}]" * (len(metrics) > 1)
            texts[name] = metrics[0].text.replace(f", n = {metrics[0].n}", "") + more
    return texts


def short(metric: Metric) -> str:
    """The value alone."""
    return f"{100 * metric.value:.1f}" if metric.unit == SHARE else f"{metric.value:.3g}"


def speed(folder: Path) -> dict[str, str]:
    """How long the crystals of the first run took."""
    path = folder / "dng-0" / "summary.json"
    if not path.is_file():
        return {}
    record = read_record(path)
    seconds = sum(stage["seconds"] for stage in record["stages"])
    count = record["crystals"]
    return {"crystals": f"{count:,}", "seconds for 1,000": f"{1000 * seconds / count:.0f}"}


def table(rows: Iterable[str], columns: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table: a row for each figure, a column for each system."""
    head = f"| | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}\n"
    lines = (
        f"| {row} | {' | '.join(texts.get(row, '') for texts in columns.values())} |\n"
        for row in rows
    )
    return head + "".join(lines)


if __name__ == "__main__":
    main()
