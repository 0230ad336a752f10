"""Input files of VASP with the Materials Project's settings (pymatgen's MPRelaxSet).

Energies of these settings can be placed on the Materials Project's hull after its corrections
(Jain et al., APL Materials 1, 011002, 2013). Pseudopotentials are licensed to the user: POTCAR.spec
names them, one a line in the order of POSCAR.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.export.folders import Exported, Files, structure_of, write_folders
from flowllm.runs.progress import ItemProgress
from flowllm.runs.texts import printable

ABOUT = """\
Input files of VASP, one folder a crystal, with the settings of the Materials Project
(MPRelaxSet of pymatgen {version}: PBE, +U for oxides and fluorides of some transition metals,
520 eV, {density} k-points per 1/Å³ of the reciprocal cell, spin-polarised, ions and cell relaxed).

POTCAR is missing: pseudopotentials are licensed to you. POTCAR.spec names those of the set
{functional}, in the order of POSCAR. Either join your files by hand, as in
    cat <set>/Sr_sv/POTCAR <set>/Ti_pv/POTCAR <set>/O/POTCAR > POTCAR
or set PMG_VASP_PSP_DIR for pymatgen and let it: Potcar(open("POTCAR.spec").read().split()).

Atoms stand in the order of pymatgen (by electronegativity), not in that of the source.
Each folder's README.txt says what to look at first. export.csv lists all crystals.
"""

REMOVED = {"W_pv": "W_sv"}
"""Label of the Materials Project's set that VASP's sets since PBE_54 lack -> what they have."""
LONGEST_COMMENT = 200
F_BLOCK = range(58, 72), range(90, 104)  # La and Ac have no f electrons


def export_vasp(
    crystals: CrystalBatch, out: str | Path, progress: ItemProgress | None = None
) -> list[Exported]:
    """Write POSCAR, INCAR, KPOINTS, POTCAR.spec and README.txt for each crystal.

    No pseudopotentials are needed for it. A crystal that has no input set is left out: an element
    without a pseudopotential of the Materials Project, or a cell without volume.

    Args:
        crystals: B crystals, in their given cells.
        out: a folder, made if need be; each crystal gets one in it that bears its id.
        progress: called as progress(done, total).

    Returns:
        What became of each crystal, in their order.

    Raises:
        InputError: the folder cannot be written.
    """
    import importlib.metadata

    from pymatgen.io.vasp.sets import MPRelaxSet

    readme = ABOUT.format(
        version=importlib.metadata.version("pymatgen"),
        density=MPRelaxSet.CONFIG["KPOINTS"]["reciprocal_density"],
        functional=MPRelaxSet.CONFIG["POTCAR_FUNCTIONAL"],
    )
    return write_folders(crystals, Path(out), vasp_files, readme, progress)


def vasp_files(crystal: CrystalBatch) -> tuple[Files, list[str]]:
    """The input files for a batch of one, and notes for review before the calculation.

    Raises:
        InputError: an element has no pseudopotential in the set, or the cell has zero volume.
    """
    from pymatgen.io.vasp.sets import MPRelaxSet

    structure = structure_of(crystal)
    known = MPRelaxSet.CONFIG["POTCAR"]
    missing = sorted({e.symbol for e in structure.composition if e.symbol not in known})
    if missing:
        raise InputError(
            f"{crystal.ids[0]}: no Materials Project pseudopotential for {', '.join(missing)}"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inputs = MPRelaxSet(structure)
        incar, kpoints, poscar = inputs.incar, inputs.kpoints, inputs.poscar
        symbols = inputs.potcar_symbols
    name = printable(crystal.ids[0], LONGEST_COMMENT)  # another line would be read as a number
    poscar.comment = f"{name} {structure.composition.reduced_formula}"
    files = {
        "POSCAR": str(poscar),
        "INCAR": str(incar),
        "KPOINTS": str(kpoints),
        "POTCAR.spec": "\n".join(symbols) + "\n",
    }
    notes = _notes(poscar.site_symbols, incar, symbols)
    notes += [
        " ".join(str(warning.message).split())
        for warning in caught
        if "InputSet" in warning.category.__name__ or "low spin" in str(warning.message)
    ]
    return files, list(dict.fromkeys(notes))


def _notes(elements: list[str], incar: dict[str, Any], symbols: list[str]) -> list[str]:
    """Review notes: magnetism, Hubbard U, f elements and labels of old sets.

    Elements stand in the order of POSCAR.
    """
    notes = []
    strong = [moment for moment in incar["MAGMOM"] if abs(moment) > 1]
    if strong:
        share = f"{len(strong)} of {len(incar['MAGMOM'])} atoms"
        notes.append(f"magnetic: {share} start ferromagnetic with high spin; try other orders")
    if incar.get("LDAU"):
        values = zip(elements, incar["LDAUU"], strict=True)
        notes.append("PBE+U: " + ", ".join(f"{e} {value} eV" for e, value in values if value))
    rare = [
        symbol
        for element, symbol in zip(elements, symbols, strict=True)
        if any(NUMBER_OF[element] in block for block in F_BLOCK)
    ]
    core = [symbol for symbol in rare if symbol.endswith(("_2", "_3"))]
    if core:
        notes.append(f"f elements: f electrons frozen in the core ({', '.join(core)})")
    if len(core) < len(rare):
        free = ", ".join(symbol for symbol in rare if symbol not in core)
        notes.append(f"f elements: f electrons are valence, without U ({free})")
    notes += [
        f"pseudopotentials: {label} is in VASP's sets PBE and PBE_52 only; PBE_54 and later have "
        f"{REMOVED[label]}, whose energies do not mix with those of the Materials Project's hull"
        for label in symbols
        if label in REMOVED
    ]
    return notes
