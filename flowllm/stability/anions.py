"""Shift of a potential's energies onto a hull of density functional theory, by anion.

CHGNet's energies lie off those of the hull by an amount that depends on the chemistry. A constant
for each class of anion, fitted on training crystals, takes the mean of that away; the scatter
remains, and what the potential misjudges in structures unlike its training data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.runs.files import write_json
from flowllm.runs.json_object import JsonObject
from flowllm.stability.hull_table import REFERENCE_FOLDER

SHIFT_FILE = "chgnet_shift.json"
NO_ANION = "none"
ANIONS: tuple[tuple[str, frozenset[str]], ...] = (
    ("oxide", frozenset({"O"})),
    ("nitride", frozenset({"N"})),
    ("halide", frozenset({"F", "Cl", "Br", "I"})),
    ("sulfide", frozenset({"S"})),
    ("selenide or telluride", frozenset({"Se", "Te"})),
    ("pnictide", frozenset({"P", "As", "Sb", "Bi"})),
)
"""Classes by the first line of which a crystal holds an element; the others have no anion."""
CLASSES = (*(name for name, _ in ANIONS), NO_ANION)


def anion_classes(crystals: CrystalBatch) -> np.ndarray:
    """(B,) str: the class of each crystal, as in `CLASSES`; an element alone has no anion."""
    result = []
    for amounts in crystals.compositions:
        found = (name for name, elements in ANIONS if len(amounts) > 1 and elements & set(amounts))
        result.append(next(found, NO_ANION))
    return np.array(result, dtype=np.str_)


@dataclass(frozen=True)
class AnionShift:
    """Offset of a potential's energies from those of the hull, by class of anion.

    Attributes:
        shifts: class -> eV/atom.
        fitted_on: the crystals, in words.
        error: of other crystals before and after the shift, in words.

    Raises:
        InputError: a class is missing or unknown, or a shift is not finite.
    """

    shifts: Mapping[str, float]
    fitted_on: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        if set(self.shifts) != set(CLASSES):
            raise InputError(f"a shift needs the classes {', '.join(CLASSES)}")
        for name, value in self.shifts.items():
            if not np.isfinite(value):
                raise InputError(f"the shift of the class {name} is {value}")

    @classmethod
    def fit(
        cls, crystals: CrystalBatch, errors: Sequence[float] | np.ndarray, fitted_on: str = ""
    ) -> AnionShift:
        """Mean error of each class; for a class without crystals, the mean of all.

        Args:
            crystals: B crystals.
            errors: (B,) the potential's formation energies minus the true ones, in eV/atom; NaN
                does not count.
            fitted_on: the crystals, in words.

        Raises:
            InputError: another number of errors than crystals, or no error is finite.
        """
        values = np.asarray(errors, dtype=np.float64)
        if len(values) != len(crystals):
            raise InputError(f"{len(values)} errors for {len(crystals)} crystals")
        finite = np.isfinite(values)
        if not finite.any():
            raise InputError("no crystal to fit a shift on has an energy")
        kinds, overall = anion_classes(crystals), float(values[finite].mean())
        shifts = {}
        for name in CLASSES:
            chosen = values[finite & (kinds == name)]
            shifts[name] = round(float(chosen.mean()) if len(chosen) else overall, 5)
        return cls(shifts, fitted_on)

    def of(self, crystals: CrystalBatch) -> np.ndarray:
        """(B,) eV/atom to subtract from each crystal's energy."""
        return np.array([self.shifts[str(name)] for name in anion_classes(crystals)], dtype=float)

    def describe(self) -> str:
        """One line on the shift, the crystals behind it and its error."""
        table = ", ".join(f"{name} {1000 * self.shifts[name]:+.0f}" for name in CLASSES)
        parts = [f"shift in meV/atom: {table}", self.fitted_on, self.error]
        return "; ".join(filter(None, parts))

    def save(self, path: str | Path) -> None:
        """Write a JSON file."""
        write_json(Path(path), asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> AnionShift:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or no such table.
        """
        record = JsonObject.read(path)
        shifts = record.record("shifts")
        return cls(
            {name: shifts.number(name) for name in shifts},
            record.text("fitted_on", ""),
            record.text("error", ""),
        )


def chgnet_shift(reference: str = "mp_20") -> AnionShift:
    """The shift that ships with a hull.

    Raises:
        InputError: none ships with it.
    """
    return AnionShift.load(REFERENCE_FOLDER / reference / SHIFT_FILE)
