"""HullTable: a convex hull small enough to ship, with its provenance.

It holds the compounds that lie on the hull of their own chemical system, and no others: the hull of
any system is spanned by its vertices, and a vertex is on the hull of its own, smaller system too,
which is a face of the larger one. So every hull energy is that of the full table, exactly.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.hull import FormationEnergyHull
from flowllm.errors import InputError
from flowllm.runs.archive import Archive, open_archive, write_archive
from flowllm.runs.json_object import JsonObject
from flowllm.stability.reference_energies import ElementalReferences, checked_energies

REFERENCE_FOLDER = Path(__file__).parents[1] / "reference"
HULL_ARCHIVE = "hull.npz"
VERSION = 1


@dataclass(frozen=True)
class HullProvenance:
    """Provenance of a hull; printed with every energy above it.

    Attributes:
        name: a short name, as in "hull of the Materials Project".
        source: the data behind it.
        date: of the data.
        licence: of the data.
        entries: number of energies that the hull was built from.
        note: what to keep in mind.
        agreement: with the source's own energies above its hull, in words.
    """

    name: str = "unnamed"
    source: str = "unknown"
    date: str = "unknown"
    licence: str = "unknown"
    entries: int = 0
    note: str = ""
    agreement: str = ""


@dataclass(frozen=True)
class HullTable:
    """Formation energies of the compounds on the hull, and the elements' reference energies.

    Attributes:
        formulas: (E,) str, as in "Nd(Al2Cu)4".
        energies: (E,) float64 formation energies in eV/atom.
        references: total energies of the elements in eV/atom.
        provenance: where it comes from.

    Raises:
        InputError: a formula does not parse, numbers differ, an energy is not finite.
    """

    formulas: np.ndarray
    energies: np.ndarray
    references: ElementalReferences
    provenance: HullProvenance = field(default_factory=HullProvenance)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formulas", np.asarray(self.formulas, dtype=np.str_))
        object.__setattr__(self, "energies", np.asarray(self.energies, dtype=np.float64))
        hull = FormationEnergyHull(self.formulas.tolist(), self.energies)
        object.__setattr__(self, "_hull", hull)

    def __len__(self) -> int:
        return len(self.formulas)

    @property
    def hull(self) -> FormationEnergyHull:
        """The convex hull itself."""
        hull: FormationEnergyHull = self._hull  # type: ignore[attr-defined]
        return hull

    def e_above_hull(
        self, crystals: CrystalBatch, formation_energies: Sequence[float] | np.ndarray
    ) -> np.ndarray:
        """(B,) signed distances to the hull in eV/atom: negative below it.

        Args:
            crystals: B crystals.
            formation_energies: (B,) eV/atom; see `references.formation_energy` for total energies.

        Returns:
            (B,); NaN where the energy is not finite, an atom's type is open or there are no atoms.

        Raises:
            InputError: another number of energies than crystals.
        """
        energies = checked_energies(crystals, formation_energies)
        result = np.full(len(crystals), np.nan)
        known: dict[tuple[tuple[str, int], ...], float] = {}
        for index, amounts in enumerate(crystals.compositions):
            if not np.isfinite(energies[index]) or not amounts or "X" in amounts:
                continue
            key = tuple(sorted(amounts.items()))
            if key not in known:
                known[key] = self.hull.hull_energy(amounts)
            result[index] = energies[index] - known[key]
        return result

    def faults(self, crystals: CrystalBatch, energies: Sequence[float] | np.ndarray) -> list[str]:
        """Per crystal why it has no E_hull from its total energy; empty if it has."""
        values = checked_energies(crystals, energies)
        return [
            fault or ("" if np.isfinite(value) else "no finite energy")
            for fault, value in zip(self.references.faults(crystals), values, strict=True)
        ]

    def describe(self) -> str:
        """One line on the provenance and reliability of the hull."""
        p = self.provenance
        head = f"{p.name}, {p.date}: {len(self):,} of {p.entries:,} entries on the hull"
        return "; ".join(filter(None, [head, p.licence, p.note, p.agreement]))

    # ---- files -----------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write an .npz of plain arrays, the same bytes for the same table."""
        elements = sorted(self.references.energies)
        about = {"version": VERSION, **asdict(self.provenance)}
        arrays = {
            "formulas": _as_bytes("\n".join(self.formulas.tolist())),
            "energies": self.energies,
            "elements": _as_bytes("\n".join(elements)),
            "reference_energies": np.array([self.references.energies[e] for e in elements]),
            "provenance": _as_bytes(json.dumps(about)),
        }
        write_archive(path, arrays)

    @classmethod
    def load(cls, path: str | Path) -> HullTable:
        """Read what `save` wrote.

        Raises:
            InputError: no such file, or no such table.
        """
        with open_archive(path, "is not a hull") as archive:
            about = JsonObject(json.loads(_text_in(archive, "provenance")), "its provenance")
            if about.values.pop("version", None) != VERSION:
                raise InputError("another version of flowllm wrote it")
            elements = _text_in(archive, "elements").split()
            energies = archive.typed("reference_energies", "f").tolist()
            references = dict(zip(elements, energies, strict=True))
            return cls(
                np.array(_text_in(archive, "formulas").split(), dtype=np.str_),
                archive.typed("energies", "f"),
                ElementalReferences(references),
                about.make(HullProvenance),
            )


def load_hull(name_or_path: str | Path = "mp_20") -> HullTable:
    """A hull that ships with the package, by its name, or a file of `flowllm hull convert`.

    Raises:
        InputError: neither a shipped hull nor a file.
    """
    shipped = REFERENCE_FOLDER / str(name_or_path) / HULL_ARCHIVE
    if shipped.is_file():
        return HullTable.load(shipped)
    if not Path(name_or_path).is_file():
        names = sorted(p.parent.name for p in REFERENCE_FOLDER.glob(f"*/{HULL_ARCHIVE}"))
        raise InputError(f"no hull {name_or_path}: neither a file nor one of {', '.join(names)}")
    return HullTable.load(name_or_path)


def _as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)


def _text_in(archive: Archive, name: str) -> str:
    return archive.typed(name, "u").tobytes().decode("utf-8")
