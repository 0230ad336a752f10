"""Catalogue: crystals of any source with a row of properties each, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.evaluation import Report
from flowllm.evaluation.report import SUMMARY, TABLE
from flowllm.evaluation.stages import FLAGS
from flowllm.evaluation.stages.relaxation import relaxed_crystals
from flowllm.inputs import read_inputs
from flowllm.inputs.runs import RUNS_OF_CRYSTALS, is_run
from flowllm.inputs.tables import table_of
from flowllm.metrics.properties import density, n_elements
from flowllm.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

SLOW = ("valid_structure", "valid_composition", "space_group")
"""Columns that are computed afterwards where a source has none; a space group takes about 12 ms."""
WHOLE = ("space_group", "relax_steps")
"""Columns of whole numbers, which a table on disk with empty places turns into fractions."""
PART = 50  # crystals between two looks at whether to stop


@dataclass(frozen=True)
class Catalogue:
    """R rows, of which B have a crystal.

    Attributes:
        name: what it shows.
        rows: R rows with at least id, formula, elements, n_elements, num_atoms and density.
        crystals: the B crystals.
        place: (R,) int64, each row's place in `crystals`; -1 where there is none.
        before: the same crystals before refinement, as far as they are known.
        place_before: (R,) int64, each row's place in `before`.
        relaxed: the same crystals as CHGNet relaxed them, as far as they are known.
        place_relaxed: (R,) int64, each row's place in `relaxed`.
        elements: (R, 119) bool, which atomic numbers each crystal holds.
    """

    name: str
    rows: pd.DataFrame
    crystals: CrystalBatch
    place: np.ndarray
    before: CrystalBatch
    place_before: np.ndarray
    relaxed: CrystalBatch
    place_relaxed: np.ndarray
    elements: np.ndarray

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of the columns `SLOW` are missing."""
        return tuple(c for c in SLOW if c not in self.rows or self.rows[c].isna().all())

    def crystal(self, row: int) -> CrystalBatch | None:
        """The crystal of a row; None if it could not be read."""
        return self.crystals[self.place[row]] if self.place[row] >= 0 else None

    def crystal_before(self, row: int) -> CrystalBatch | None:
        """The crystal of a row before refinement; None if unknown."""
        return self.before[self.place_before[row]] if self.place_before[row] >= 0 else None

    def crystal_relaxed(self, row: int) -> CrystalBatch | None:
        """The relaxed crystal of a row; None if unknown."""
        return self.relaxed[self.place_relaxed[row]] if self.place_relaxed[row] >= 0 else None

    def with_columns(self, columns: dict[str, np.ndarray]) -> Catalogue:
        """A copy with additional columns for the B crystals, empty for rows without one."""
        rows, found = self.rows.copy(), self.place >= 0
        for name, values in columns.items():
            kind = "boolean" if values.dtype == bool else "Int64"
            spread = _empty(len(rows), kind)
            spread[found] = values[self.place[found]]
            rows[name] = spread
        return replace(self, rows=rows)


def read_catalogue(
    source: Report | CrystalBatch | str | Path, trajectory: Trajectory | None = None
) -> Catalogue:
    """Read crystals with their known properties.

    Args:
        source: an evaluation or its folder; the folder of a run; anything else that
            `flowllm.inputs.read_inputs` reads; or a batch.
        trajectory: its first frame holds the crystals before refinement, under the same ids.

    Raises:
        InputError: the source cannot be read, or the trajectory is of other crystals.
    """
    before, relaxed = None, None
    if isinstance(source, (str, Path)):
        folder = Path(source)
        if (folder / SUMMARY).is_file() and (folder / TABLE).is_file():
            before = _prior_of(folder.parent)
            relaxed = relaxed_crystals(folder)
            source = Report.load(folder)
        else:
            before = _prior_of(folder)
    if isinstance(source, Report):
        name, rows, crystals = source.name, source.rows.reset_index(drop=True), source.crystals
    else:
        name, rows, crystals = _read(source)
    if trajectory is not None:
        before = trajectory.first
        if not set(before.ids.tolist()) & set(crystals.ids.tolist()):
            raise InputError("no crystal of the trajectory has an id of the source")
    before = before if before is not None else CrystalBatch.empty()
    relaxed = relaxed if relaxed is not None else CrystalBatch.empty()
    ids = rows["id"].astype(str).tolist()
    place = _places(ids, crystals)
    rows = _with_basics(rows, crystals, place)
    elements = np.zeros((len(crystals) + 1, len(SYMBOLS)), dtype=bool)
    elements[crystals.crystal_of_atom, crystals.atomic_numbers] = True
    # a row without a crystal has place -1: the last line, of no element
    return Catalogue(
        name,
        rows,
        crystals,
        place,
        before,
        _places(ids, before),
        relaxed,
        _places(ids, relaxed),
        elements[place],
    )


def slow_columns(
    crystals: CrystalBatch, names: Sequence[str], tick: Callable[[int, int], None]
) -> dict[str, np.ndarray]:
    """Columns of `SLOW` for B crystals.

    Args:
        crystals: B crystals.
        names: which columns.
        tick: called as tick(done, total) now and then; may raise to end the work.
    """
    from flowllm.metrics.composition import compositional_validity
    from flowllm.metrics.symmetry import space_groups
    from flowllm.metrics.validity import structural_validity

    compute: dict[str, Callable[[CrystalBatch], np.ndarray]] = {
        "valid_structure": structural_validity,
        "valid_composition": compositional_validity,
        "space_group": space_groups,
    }
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for start in range(0, len(crystals), PART):
        tick(start, len(crystals))
        for name in names:
            parts[name].append(compute[name](crystals[start : start + PART]))
    return {name: np.concatenate(part) for name, part in parts.items() if part}


def _read(source: CrystalBatch | str | Path) -> tuple[str, pd.DataFrame, CrystalBatch]:
    import pandas as pd

    found = read_inputs(source)
    rows = pd.DataFrame({"id": found.ids.astype(object)})
    if isinstance(source, (str, Path)):
        table = Path(source) / "crystals.csv"
        if table.is_file() and is_run(Path(source)):
            known = table_of(table)
            for flag in set(known) & set(FLAGS):
                values = dict(zip(known["id"], known[flag], strict=True))
                texts = pd.Series([values.get(name, "") for name in rows["id"]])
                rows[flag] = texts.map({"true": True, "false": False}).astype("boolean")
    if (found.reasons != "").any():
        rows["reason"] = found.reasons.astype(object)
    if (found.remarks != "").any():
        rows["remarks"] = found.remarks.astype(object)
    name = Path(source).name if isinstance(source, (str, Path)) else "crystals"
    return name, rows, found.crystals


def _with_basics(rows: pd.DataFrame, crystals: CrystalBatch, place: np.ndarray) -> pd.DataFrame:
    """The rows, with missing values filled in that are quick to compute."""
    rows = rows.copy()
    if "formula" not in rows:
        rows.insert(1, "formula", _spread(crystals.formulas, place, ""))
    rows["elements"] = _spread([" ".join(sorted(c)) for c in crystals.compositions], place, "")
    for name, values in (
        ("num_atoms", crystals.num_atoms),
        ("n_elements", n_elements(crystals)),
        ("density", density(crystals)),
    ):
        if name not in rows:
            rows[name] = _spread(values.tolist(), place, None)
            rows[name] = rows[name].astype("float64" if name == "density" else "Int64")
    for name in set(WHOLE) & set(rows):
        rows[name] = rows[name].astype("Int64")
    return rows


def _spread(values: Sequence[Any], place: np.ndarray, otherwise: Any) -> list[Any]:
    return [values[at] if at >= 0 else otherwise for at in place.tolist()]


def _empty(count: int, kind: str) -> pd.Series:
    import pandas as pd

    return pd.Series([pd.NA] * count, dtype=kind)


def _places(ids: Sequence[str], crystals: CrystalBatch) -> np.ndarray:
    place = {str(name): at for at, name in enumerate(crystals.ids)}
    return np.array([place.get(name, -1) for name in ids], dtype=np.int64)


def _prior_of(folder: Path) -> CrystalBatch | None:
    """The crystals of a run before refinement; None of another folder."""
    if not is_run(folder) or RunFolder.read(folder)["command"] not in RUNS_OF_CRYSTALS:
        return None
    parts = sorted((folder / "parts").glob("*.npz")) or [
        path for path in [folder / "trajectories.npz"] if path.is_file()
    ]
    if parts:
        return CrystalBatch.concatenate(Trajectory.load(path).first for path in parts)
    return read_inputs(folder / "prior").crystals if (folder / "prior").is_dir() else None
