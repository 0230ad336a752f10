"""The output of a preparation: arrays of each split, rejected rows, remarks and a summary."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.data.chunks import PreparedChunk
from flowllm.data.dataset import CrystalSet
from flowllm.data.energies import fill_e_above_hull, hide_held_out
from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import HULL_FILE, read_formation_energies
from flowllm.data.shipped import SHIPPED, load_shipped, with_shipped_energies
from flowllm.data.sources import Rows
from flowllm.inputs.remarks import counted
from flowllm.runs.files import atomic_write, write_json
from flowllm.runs.texts import csv_of

REJECTED = ["id", "split", "row", "reason"]
HELD_OUT = "energies of the training split without compositions that only the other splits have"
SHIPPED_HULL = f"as it ships with the package; {HELD_OUT}"


def write_shipped(
    folder: Path, source: str | Path, names: tuple[str, ...], limit: int | None
) -> None:
    """Write the results of a data set that ships prepared."""
    summary: dict[str, Any] = {"splits": {}}
    for split in names:
        crystals = load_shipped(source, split)[:limit]
        crystals.save(folder / f"{split}.npz")
        given = np.isfinite(crystals.properties["e_above_hull"])
        energies = {"given": int(given.sum()), "computed": 0, "unknown": int((~given).sum())}
        summary["splits"][split] = _counts(crystals, "prepared arrays of the package", energies)
    summary["hull"] = SHIPPED_HULL
    atomic_write(folder / "rejected.csv", csv_of(REJECTED, []))
    write_json(folder / "summary.json", summary)


def _counts(crystals: CrystalSet, origin: str, energies: dict[str, int]) -> dict[str, Any]:
    """Summary counts of a split, as far as its crystals determine them."""
    exact = crystals.properties.get("exact", np.full(len(crystals), np.nan))
    return {
        "origin": origin,
        "read": len(crystals),
        "kept": len(crystals),
        "rejected": 0,
        "exact": int((exact == 1).sum()),
        "not_exact": int((exact == 0).sum()),
        "e_above_hull": energies,
    }


def write_results(
    folder: Path,
    source: str | Path,
    tables: dict[str, Rows],
    parts: dict[str, list[PreparedChunk]],
    hull_file: Path | None,
    started: float,
) -> None:
    """Write the results of rows that were prepared here.

    Args:
        folder: the output folder.
        source: name or path of the data.
        tables: split -> rows.
        parts: split -> what became of them.
        hull_file: entries of a hull; None leaves open energies open.
        started: `time.perf_counter()` of the beginning.
    """
    rejected: list[list[Any]] = []
    remarks: list[list[Any]] = []
    summary: dict[str, Any] = {"splits": {}}
    prepared = {s: CrystalSet.concatenate([part.kept for part in parts[s]]) for s in tables}
    filled = _with_energies(source, prepared, hull_file)
    for split, rows in tables.items():
        kept, energies = filled[split]
        failed = [entry for part in parts[split] for entry in part.rejected]
        rejected += [[name, split, row, why] for row, name, why in failed]
        remarked = [entry for part in parts[split] for entry in part.remarks]
        remarks += [[name, split, row, text] for row, name, text in remarked]
        kept.save(folder / f"{split}.npz")
        summary["splits"][split] = {
            **_counts(kept, rows.origin, energies),
            "read": len(rows),
            "rejected": len(failed),
            "reasons": dict(Counter(_reason_kind(why) for _, _, why in failed).most_common()),
            "remarks": dict(counted(text for _, _, text in remarked).most_common()),
            "notes": list(rows.notes),
        }
    if str(source) in SHIPPED:
        summary["hull"] = SHIPPED_HULL
    elif hull_file:
        summary["hull"] = f"{hull_file}; {HELD_OUT}"
    else:
        summary["hull"] = (
            f"no hull file ({HULL_FILE} below FLOWLLM_DATA_DIR): where a table gives no energy "
            "above the hull it stays unknown"
        )
    atomic_write(folder / "rejected.csv", csv_of(REJECTED, rejected))
    if any(split["remarks"] for split in summary["splits"].values()):
        atomic_write(folder / "remarks.csv", csv_of(["id", "split", "row", "remarks"], remarks))
    summary["seconds"] = round(time.perf_counter() - started, 1)
    write_json(folder / "summary.json", summary)


def _with_energies(
    source: str | Path, prepared: dict[str, CrystalSet], hull_file: Path | None
) -> dict[str, tuple[CrystalSet, dict[str, int]]]:
    """Split -> the set with energies above the hull, and their number by source."""
    if str(source) in SHIPPED:
        return {
            split: fill_e_above_hull(with_shipped_energies(crystals, source, split), None)
            for split, crystals in prepared.items()
        }
    if hull_file is None:
        return {split: fill_e_above_hull(crystals, None) for split, crystals in prepared.items()}
    formulas, energies = read_formation_energies(hull_file)
    whole = FormationEnergyHull(formulas, energies)
    held_out = [crystals for split, crystals in prepared.items() if split != "train"]
    result = {}
    for split, crystals in prepared.items():
        hull = whole
        formation = crystals.properties.get("formation_energy")
        if split == "train" and held_out and formation is not None:
            entries = hide_held_out(formulas, energies, crystals, formation, held_out)
            hull = FormationEnergyHull(*entries)
        result[split] = fill_e_above_hull(crystals, hull)
    return result


def _reason_kind(reason: str) -> str:
    """A reason without row-specific details, for counting."""
    if "atoms in the primitive cell" in reason:
        return "more atoms in the primitive cell than max_atoms"
    if "not searched for a smaller one" in reason:
        return "a cell too large to be searched for a primitive one"
    return reason.split(" (")[0].split(";")[0]
