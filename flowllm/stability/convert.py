"""Turn a pickled phase diagram of pymatgen into a hull table, once.

Matbench Discovery publishes the full Materials Project hull of 2023-02-07 as a pickled
`PatchedPhaseDiagram` (`2023-02-07-ppd-mp.pkl.gz`). It is read here and nowhere else, without
running what it names (see `flowllm.stability.restricted_pickle`); at run time only the table is.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from flowllm.errors import InputError, first_line
from flowllm.runs.reading import open_regular
from flowllm.stability.hull_build import on_their_own_hull
from flowllm.stability.hull_table import HullProvenance, HullTable
from flowllm.stability.records import OTHER_KEYS, Record
from flowllm.stability.reference_energies import ElementalReferences
from flowllm.stability.restricted_pickle import load_records

DIAGRAMS = ("PatchedPhaseDiagram", "PhaseDiagram")
MOST_ENTRIES = 5_000_000
MOST_PARTS = 200
"""Elements of an entry or of all references, and corrections of an entry."""
ATOMS = (1e-3, 1e6)  # least and most of an entry


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
    if out is not None and not Path(out).parent.is_dir():
        raise InputError(f"no folder {Path(out).parent} to write the table to")
    try:
        with _opened(path) as handle:
            diagram = load_records(handle, path.stat().st_size)
        formulas, totals = _entries(diagram)
        references = _references(diagram, formulas, totals)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path}: {first_line(error)}") from error
    except (InputError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(f"{path}: this machine has too little memory to read it") from error
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
    handle = open_regular(path)
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
    entries = _listed(entries, MOST_ENTRIES, "entries")
    if not entries:
        raise InputError("the phase diagram contains no entries")
    compositions = [_composition(entry) for entry in entries]
    energies = [
        _energy(entry) / sum(amounts.values())
        for entry, amounts in zip(entries, compositions, strict=True)
    ]
    return compositions, np.array(energies, dtype=np.float64)


def _references(
    diagram: Record, compositions: list[dict[str, float]], energies: np.ndarray
) -> ElementalReferences:
    """eV/atom of the diagram's references; by default its lowest entry of each element."""
    found = _state(diagram).get("el_refs") or {}
    pairs = (
        list(found.items()) if isinstance(found, dict) else _listed(found, MOST_PARTS, "elements")
    )
    result: dict[str, float] = {}
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise InputError("its elemental references are not pairs of element and entry")
        result[str(pair[0])] = _energy(pair[1]) / sum(_composition(pair[1]).values())
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
    usable = isinstance(amounts, dict) and 0 < len(amounts) <= MOST_PARTS
    if not usable or OTHER_KEYS in amounts:
        raise InputError(f"a {entry.kind} of something other than elements")
    result = {
        str(element): _number(amount, f"an amount of a {entry.kind}")
        for element, amount in amounts.items()
    }
    total = sum(result.values())
    if min(result.values()) < 0 or not ATOMS[0] <= total <= ATOMS[1]:
        raise InputError(f"a {entry.kind} of {total:.3g} atoms")
    return result


def _energy(entry: Any) -> float:
    """Corrected total energy in eV of a PDEntry, ComputedEntry or ComputedStructureEntry."""
    if not isinstance(entry, Record):
        raise InputError(f"an entry is a {type(entry).__name__}")
    value = entry.state.get("_energy", entry.state.get("energy"))
    if value is None:
        raise InputError(f"a {entry.kind} without an energy")
    corrections = _listed(entry.state.get("energy_adjustments"), MOST_PARTS, "corrections")
    return _number(value, f"the energy of a {entry.kind}") + sum(map(_adjustment, corrections))


def _listed(values: Any, most: int, what: str) -> Sequence[Any]:
    """The members of a list, which may be missing."""
    found = values.members if isinstance(values, Record) else values
    if found is None:
        return ()
    if not isinstance(found, (list, tuple)):
        raise InputError(f"its {what} must be a list, not {type(found).__name__}")
    if len(found) > most:
        raise InputError(f"it holds {len(found):,} {what} in one place, more than {most:,}")
    return found


def _adjustment(record: Any) -> float:
    """A correction in eV: constant, per atom, or per atom and degree."""
    if not isinstance(record, Record):
        raise InputError(f"an energy correction is a {type(record).__name__}")
    for value, factors in (
        ("_value", ()),
        ("_adj_per_atom", ("n_atoms",)),
        ("_adj_per_deg", ("n_atoms", "temp")),
    ):
        if value in record.state:
            numbers = [_number(record.state.get(name), name) for name in (value, *factors)]
            return math.prod(numbers)
    raise InputError(f"an energy correction of the kind {record.kind}")


def _number(value: Any, what: str) -> float:
    """A number, with or without an uncertainty."""
    found = value.state.get("_nominal_value") if isinstance(value, Record) else value
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise InputError(f"{what} is not a number")
    return float(found)  # integers beyond its range are refused when they are read


def _formula(amounts: dict[str, float]) -> str:
    return "".join(f"{element}{amount:.12g}" for element, amount in sorted(amounts.items()))
