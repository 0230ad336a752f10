"""Turn a pickled phase diagram of pymatgen into a hull table, once.

Matbench Discovery publishes the full Materials Project hull of 2023-02-07 as a pickled
`PatchedPhaseDiagram` (`2023-02-07-ppd-mp.pkl.gz`). It is read here and nowhere else, without
running what it names (see `flowllm.stability.restricted_pickle`); at run time only the table is.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np

from flowllm.errors import InputError
from flowllm.stability.hull_build import on_their_own_hull
from flowllm.stability.hull_table import HullProvenance, HullTable
from flowllm.stability.reference_energies import ElementalReferences
from flowllm.stability.restricted_pickle import Record, load_records

DIAGRAMS = ("PatchedPhaseDiagram", "PhaseDiagram")


def convert_hull(
    file: str | Path, out: str | Path | None = None, provenance: HullProvenance | None = None
) -> HullTable:
    """The hull table of a pickled PhaseDiagram or PatchedPhaseDiagram (.pkl or .pkl.gz).

    Formation energies are the entries' corrected energies minus the diagram's own elemental
    references. What lies on no hull is left out.

    Args:
        file: the pickle.
        out: where to write the table (.npz); None writes nothing.
        provenance: where the diagram comes from; by default its file name.

    Raises:
        InputError: no such file, no phase diagram in it, or it asks for something that is refused.
    """
    path = Path(file)
    if out is not None and Path(out).suffix != ".npz":
        raise InputError(f"the table is an .npz file, not {out}")
    try:
        with _opened(path) as handle:
            diagram = load_records(handle)
        formulas, totals = _entries(diagram)
        references = _references(diagram, formulas, totals)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (InputError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {error}") from error
    energies = references.formation_energy(formulas, totals)
    known = np.isfinite(energies)
    names = [_formula(amounts) for amounts, keep in zip(formulas, known, strict=True) if keep]
    kept, values = on_their_own_hull(names, energies[known])
    about = provenance or HullProvenance(
        name=path.name.removesuffix(".gz").removesuffix(".pkl"),
        source=f"converted from {path.name}",
        entries=len(formulas),
        licence="of the file that it was converted from",
    )
    table = HullTable(np.array(kept, dtype=np.str_), values, references, about)
    if out is not None:
        table.save(out)
    return table


def _opened(path: Path) -> IO[bytes]:
    handle = path.open("rb")
    zipped = handle.read(2) == b"\x1f\x8b"
    handle.seek(0)
    return gzip.open(handle) if zipped else handle  # type: ignore[return-value]


def _entries(diagram: Any) -> tuple[list[dict[str, float]], np.ndarray]:
    """Compositions and (E,) energies in eV/atom of a diagram's entries."""
    if not isinstance(diagram, Record) or diagram.kind not in DIAGRAMS:
        found = diagram.kind if isinstance(diagram, Record) else type(diagram).__name__
        raise InputError(f"it holds a {found}, not a PhaseDiagram or PatchedPhaseDiagram")
    # the entries that can be on a hull; an older diagram may hold only the list of all
    entries = _state(diagram).get("qhull_entries") or _state(diagram).get("all_entries")
    if not entries:
        raise InputError("the phase diagram holds no entries")
    compositions = [_composition(entry) for entry in entries]
    energies = [
        _energy(entry) / sum(amounts.values())
        for entry, amounts in zip(entries, compositions, strict=True)
    ]
    return compositions, np.array(energies, dtype=np.float64)


def _references(
    diagram: Record, compositions: list[dict[str, float]], energies: np.ndarray
) -> ElementalReferences:
    """eV/atom of the diagram's references; without them, of its lowest entry of each element."""
    found = _state(diagram).get("el_refs") or {}
    pairs = found.items() if isinstance(found, dict) else found
    result = {
        str(element): _energy(entry) / sum(_composition(entry).values()) for element, entry in pairs
    }
    if not result:
        for amounts, energy in zip(compositions, energies.tolist(), strict=True):
            if len(amounts) == 1:
                element = next(iter(amounts))
                result[element] = min(energy, result.get(element, np.inf))
    return ElementalReferences(result)


def _state(record: Record) -> dict[str, Any]:
    """Attributes; newer versions keep some of them in `computed_data`."""
    computed = record.state.get("computed_data")
    return {**(computed if isinstance(computed, dict) else {}), **record.state}


def _composition(entry: Any) -> dict[str, float]:
    """Element -> amount of an entry."""
    if not isinstance(entry, Record):
        raise InputError(f"an entry is a {type(entry).__name__}")
    composition = entry.state.get("_composition", entry.state.get("composition"))
    if not isinstance(composition, Record):
        raise InputError(f"a {entry.kind} without a composition")
    amounts = composition.state.get("_data") or composition.items
    if not all(isinstance(element, str) for element in amounts):
        raise InputError(f"a {entry.kind} of something else than elements")
    result = {str(element): float(amount) for element, amount in amounts.items()}
    if not result or min(result.values()) < 0 or sum(result.values()) <= 0:
        raise InputError(f"a {entry.kind} of the composition {result}")
    return result


def _energy(entry: Record) -> float:
    """Corrected total energy in eV of a PDEntry, ComputedEntry or ComputedStructureEntry."""
    value = entry.state.get("_energy", entry.state.get("energy"))
    if value is None:
        raise InputError(f"a {entry.kind} without an energy")
    return _number(value) + sum(map(_adjustment, _listed(entry.state.get("energy_adjustments"))))


def _listed(values: Any) -> Iterable[Record]:
    if values is None:
        return []
    return values.members if isinstance(values, Record) else values


def _adjustment(record: Record) -> float:
    """A correction in eV: constant, per atom, or per atom and degree."""
    state = record.state
    if "_value" in state:
        return _number(state["_value"])
    if "_adj_per_atom" in state:
        return _number(state["_adj_per_atom"]) * float(state["n_atoms"])
    if "_adj_per_deg" in state:
        return _number(state["_adj_per_deg"]) * float(state["n_atoms"]) * float(state["temp"])
    raise InputError(f"an energy correction of the kind {record.kind}")


def _number(value: Any) -> float:
    """A number, with or without an uncertainty."""
    return float(value.state["_nominal_value"] if isinstance(value, Record) else value)


def _formula(amounts: dict[str, float]) -> str:
    return "".join(f"{element}{amount:.12g}" for element, amount in sorted(amounts.items()))
