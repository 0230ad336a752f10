"""Input files of Quantum ESPRESSO: pw.x, ions and cell relaxed, PBE.

Cutoffs, smearing and thresholds follow the practice around the SSSP library (Prandini et al., npj
Computational Materials 4, 72, 2018); they must be looked at beside the pseudopotentials in use.
"""

from __future__ import annotations

import io
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.export.folders import Exported, Files, structure_of, write_folders
from flowllm.export.vasp import F_BLOCK
from flowllm.runs.progress import ItemProgress
from flowllm.runs.reading import read_whole

INPUT = "pw.in"

ABOUT = """\
Input files of pw.x (Quantum ESPRESSO), one folder a crystal: vc-relax, run as
    cd <folder> && pw.x -in pw.in > pw.out

Pseudopotentials are yours, PBE ones: pw.x looks for them in {where},
under the names in ATOMIC_SPECIES ({names}).
Cutoffs: {ecutwfc:g} Ry for wave functions, {ecutrho:g} Ry for the density. The defaults of 90 and
1080 Ry are what the SSSP efficiency library (Prandini et al. 2018) asks for iron, near its
highest; many elements need less. Compare with what your pseudopotentials suggest.
K-points: Gamma-centred grids, at most {kspacing:g} 1/Å between points, 2 pi included (the Materials
Project's density is about 0.25). Smearing: Marzari-Vanderbilt, {degauss:g} Ry.
Magnetic elements start ferromagnetic with the moments of pymatgen's MPRelaxSet. No Hubbard U is
set, so energies are not comparable with the Materials Project's PBE+U for oxides and fluorides.
Each folder's README.txt says what to look at first. export.csv lists all crystals.
"""


@dataclass(frozen=True)
class EspressoSettings:
    """Settings of the pw.x inputs.

    Attributes:
        pseudopotentials: element -> file name; or a folder that holds one UPF file an element,
            named as in Fe.pbe-spn.UPF; or None for the names that `pattern` gives.
        pattern: file names where none are given.
        pseudo_dir: where pw.x looks for them, seen from a crystal's folder; for a folder of
            pseudopotentials that folder.
        ecutwfc: cutoff of the wave functions in Ry.
        ecutrho: cutoff of the density in Ry.
        kspacing: largest distance of k-points in 1/Å, 2 pi included.
        degauss: smearing in Ry.

    `files` is found from these: element -> file name.

    Raises:
        InputError: a value is not positive, the density's cutoff is below four times that of the
            wave functions, or the folder does not exist or holds two files of an element.
    """

    pseudopotentials: dict[str, str] | Path | None = None
    pattern: str = "{symbol}.upf"
    pseudo_dir: str = "../pseudo"
    ecutwfc: float = 90.0
    ecutrho: float = 1080.0
    kspacing: float = 0.2
    degauss: float = 0.01
    files: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("ecutwfc", "ecutrho", "kspacing", "degauss"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")
        if self.ecutrho < 4 * self.ecutwfc:
            raise InputError(f"ecutrho must be at least four times ecutwfc, not {self.ecutrho:g}")
        given = self.pseudopotentials
        if isinstance(given, (str, Path)):
            object.__setattr__(self, "files", _files_in(Path(given)))
            object.__setattr__(self, "pseudo_dir", os.path.realpath(given))
        elif given is None:
            if "{symbol}" not in self.pattern:
                raise InputError(f"the pattern {self.pattern} has no {{symbol}} in it")
            names = {s: self.pattern.replace("{symbol}", s) for s in NUMBER_OF}
            object.__setattr__(self, "files", names)
        else:
            object.__setattr__(self, "files", dict(given))


def _files_in(folder: Path) -> dict[str, str]:
    """Element -> name of its UPF file."""
    if not folder.is_dir():
        raise InputError(f"no such folder of pseudopotentials: {folder}")
    found: dict[str, str] = {}
    for file in sorted(folder.iterdir()):
        symbol = re.split(r"[._-]", file.name)[0].capitalize()
        if file.suffix.lower() != ".upf" or symbol not in NUMBER_OF:
            continue
        if symbol in found:
            raise InputError(
                f"{folder} contains two pseudopotentials for {symbol}: "
                f"{found[symbol]} and {file.name}; keep one per element"
            )
        found[symbol] = file.name
    if not found:
        raise InputError(f"{folder} contains no .upf files")
    return found


def export_espresso(
    crystals: CrystalBatch,
    out: str | Path,
    settings: EspressoSettings | None = None,
    progress: ItemProgress | None = None,
) -> list[Exported]:
    """Write pw.in and README.txt for each crystal.

    A crystal with an element whose pseudopotential is not known, or whose cell spans no volume, is
    left out.

    Args:
        crystals: B crystals, in their given cells.
        out: a folder, made if need be; each crystal gets one in it that bears its id.
        settings: pseudopotentials, cutoffs and k-points.
        progress: called as progress(done, total).

    Returns:
        What became of each crystal, in their order.

    Raises:
        InputError: the folder cannot be written.
    """
    chosen = settings or EspressoSettings()
    pattern = chosen.pattern.replace("{symbol}", "<element>")
    beside = chosen.pseudo_dir == EspressoSettings.pseudo_dir
    readme = ABOUT.format(
        where="the folder pseudo beside this file" if beside else chosen.pseudo_dir,
        names=f"{pattern}: rename yours" if chosen.pseudopotentials is None else "as you gave them",
        ecutwfc=chosen.ecutwfc,
        ecutrho=chosen.ecutrho,
        kspacing=chosen.kspacing,
        degauss=chosen.degauss,
    )

    def writer(crystal: CrystalBatch) -> tuple[Files, list[str]]:
        return espresso_files(crystal, chosen)

    return write_folders(crystals, Path(out), writer, readme, progress)


def espresso_files(crystal: CrystalBatch, settings: EspressoSettings) -> tuple[Files, list[str]]:
    """pw.in for a batch of one, and notes for review before the calculation.

    Raises:
        InputError: an element's pseudopotential is not known, or the cell has zero volume.
    """
    from ase.io.espresso import write_espresso_in

    structure_of(crystal)  # checks
    atoms = crystal.to_ase()[0]
    elements = list(dict.fromkeys(atoms.get_chemical_symbols()))
    missing = [symbol for symbol in elements if symbol not in settings.files]
    if missing:
        raise InputError(f"{crystal.ids[0]}: no pseudopotential for {', '.join(missing)} is given")
    moments = magnetic_moments()
    start = {s: moments[s] / valence_electrons(s, settings) for s in elements if s in moments}
    atoms.set_initial_magnetic_moments(
        [round(min(start.get(s, 0.0), 0.9), 4) for s in atoms.get_chemical_symbols()]
    )
    buffer = io.StringIO()
    write_espresso_in(
        buffer,
        atoms,
        input_data=_namelists(len(atoms), bool(start), settings),
        pseudopotentials={s: settings.files[s] for s in elements},
        kpts=kpoint_grid(crystal, settings.kspacing),
        crystal_coordinates=True,
    )
    notes = []
    if start:
        given = ", ".join(f"{s} {moments[s]:g} µB" for s in start)
        notes.append(f"magnetic: starts ferromagnetic ({given}); try other orders")
    if any(z in block for z in map(NUMBER_OF.__getitem__, elements) for block in F_BLOCK):
        notes.append("f elements: no Hubbard U; see whether the f electrons are valence or core")
    # ASE also writes namelists that vc-relax does not know, empty ones
    text = re.sub(r"^&(FCP|RISM)\n/\n", "", buffer.getvalue(), flags=re.MULTILINE)
    return {INPUT: text}, notes


def _namelists(size: int, magnetic: bool, settings: EspressoSettings) -> dict[str, dict]:
    system = {
        "ecutwfc": settings.ecutwfc,
        "ecutrho": settings.ecutrho,
        "occupations": "smearing",
        "smearing": "cold",
        "degauss": settings.degauss,
        "nspin": 2 if magnetic else 1,
    }
    control = {
        "calculation": "vc-relax",
        "prefix": "crystal",
        "outdir": "./out",
        "pseudo_dir": settings.pseudo_dir,
        "etot_conv_thr": 1e-5 * size,
        "forc_conv_thr": 1e-4,
        "nstep": 200,
    }
    return {
        "control": control,
        "system": system,
        "electrons": {"conv_thr": 2e-10 * size, "electron_maxstep": 200, "mixing_beta": 0.4},
        "ions": {"ion_dynamics": "bfgs"},
        "cell": {"cell_dynamics": "bfgs", "press_conv_thr": 0.5},
    }


def kpoint_grid(crystal: CrystalBatch, kspacing: float) -> tuple[int, int, int]:
    """Divisions along the reciprocal vectors of a batch of one, points at most `kspacing` apart.

    Args:
        crystal: one crystal.
        kspacing: in 1/Å, with the factor 2 pi in the reciprocal vectors.
    """
    reciprocal = 2 * np.pi * np.linalg.inv(crystal.lattices[0])
    a, b, c = (max(1, math.ceil(x / kspacing - 1e-9)) for x in np.linalg.norm(reciprocal, axis=0))
    return a, b, c


def magnetic_moments() -> dict[str, float]:
    """Element -> moment in µB with which MPRelaxSet starts magnetic elements.

    Of an element that the set knows by its ions only (lanthanides) the largest moment counts; those
    below 1 µB, which the set gives to all others too, are left out, save for cobalt.
    """
    from pymatgen.io.vasp.sets import MPRelaxSet

    moments: dict[str, float] = {}
    table = MPRelaxSet.CONFIG["INCAR"]["MAGMOM"]
    for species, value in table.items():
        symbol = re.sub(r"[^A-Za-z]", "", species)
        moments[symbol] = table.get(symbol, max(float(value), moments.get(symbol, 0.0)))
    return {s: float(m) for s, m in moments.items() if m >= 1 or s in table}


def valence_electrons(symbol: str, settings: EspressoSettings) -> float:
    """Valence electrons of a pseudopotential, from its file if available.

    pw.x takes a starting magnetisation between -1 and 1 as a share of these in every version, and
    larger values as µB since 7.3 only, so the share is written. Else the outer electrons with the
    semicore shell are counted, as most pseudopotentials of magnetic elements do.
    """
    if isinstance(settings.pseudopotentials, (str, Path)):
        text = read_whole(Path(settings.pseudo_dir) / settings.files[symbol]).decode(
            errors="replace"
        )
        found = re.search(r'z_valence\s*=\s*"\s*([^"\s]+)', text) or re.search(
            r"([\d.EeDd+-]+)\s+Z valence", text
        )
        if found:
            return float(found.group(1).replace("D", "E"))
    number = NUMBER_OF[symbol]
    return float(number - next(core for first, core in CORES if number >= first))


CORES = ((89, 78), (72, 60), (57, 46), (39, 28), (21, 10), (1, 0))
"""From this atomic number on, electrons in the core: of 5f, 5d, 4f, 4d and 3d elements."""
