"""What the fuzzer starts from: every case of tests/inputs/cases, and files that we write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import flowllm
from flowllm.crystals.batch import CrystalBatch

CASES = Path(__file__).parents[1] / "inputs" / "cases"
FORMULAS = (
    "SrTiO3", "SrTiO₃", "K4[Fe(CN)6]", "CuSO4·5H2O", "CaSO4.2H2O", "(NH4)2SO4", "YBa2Cu3O6.9",
    "HDO", "Fe3+", "2NaCl", "Ni0.5Co0.5O", "Fe0O2", "FeO1e1", "mp-149", "α-Al2O3", "Li1 D1",
    "Na4 Cl4", "Li,Fe,O", "Fm-3m", "P 21/c", "225", "cubic",
)  # fmt: skip
PROMPT = (
    "Below is a description of a bulk material. The chemical formula is SrTiO3. The spacegroup "
    "number is 221. Generate a description of the lengths and angles of the lattice vectors and "
    "then the element type and coordinates for each atom within the lattice:\n"
)


def write_corpus(folder: Path) -> None:
    """Files of every kind that is read, a run of each command that others read, and weights."""
    from flowllm.crystals.trajectory import Trajectory

    files = folder / "files"
    files.mkdir(parents=True)
    crystals = CrystalBatch(
        [11, 17, 38, 22, 8, 8, 8],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5],
         [0, 0.5, 0.5]],
        [[4.0, 4.0, 4.0], [3.9, 3.9, 3.9]], [[60, 60, 60], [90, 90, 90]], [2, 5],
        ["salt", "perovskite"],
    )  # fmt: skip
    crystals.save(files / "batch.npz")
    Trajectory.from_frames([0.0, 1.0], [crystals, crystals]).save(files / "path.npz")
    structures, texts = crystals.to_pymatgen(), crystals.to_cif()
    (files / "salt.cif").write_text(texts[0])
    (files / "both.cif").write_text("\n".join(texts))
    (files / "perovskite.vasp").write_text(structures[1].to(fmt="poscar"))
    (files / "structure.json").write_text(json.dumps(structures[1].as_dict()))
    larger = [crystals.replace(lengths=crystals.lengths * (1 + k / 10)) for k in range(10)]
    rows = [text for each in larger for text in each.to_cif()]
    (files / "table.csv").write_text(
        "material_id,cif,band_gap\n" + "".join(f'{i},"{text}",1.5\n' for i, text in enumerate(rows))
    )
    from ase.io import write

    write(files / "frames.extxyz", crystals.to_ase(), format="extxyz")
    write(files / "ase.json", crystals.to_ase()[0], format="json")
    for case in sorted(CASES.rglob("*")):
        if case.is_file() and case.name != "README" and case.suffix != ".py":
            name = f"{case.parent.name}-{case.name}"
            (files / name).write_bytes(case.read_bytes())
    _write_systems(folder, crystals)
    _write_references(folder / "reference")
    _write_runs(folder / "runs", files)


def _write_systems(folder: Path, crystals: CrystalBatch) -> None:
    """The shipped system, and one with compositions and cells of training."""
    from flowllm.methods.base.prior import BasePrior
    from flowllm.systems.system import FlowLLM

    shipped = FlowLLM.from_pretrained("mp20-compact", "cpu")
    shipped.save_pretrained(folder / "system")
    prior = BasePrior.make("compositions", None, crystals)
    FlowLLM(prior, shipped.refiner, [0, 1, 0, 0, 1]).save_pretrained(folder / "base")


def _write_references(folder: Path) -> None:
    """What evaluations compare with: the shipped reference, hull, crystals, shift, elements."""
    shipped = Path(flowllm.__file__).parent / "reference" / "mp_20"
    shutil.copytree(shipped, folder / "mp_20")
    for name in ("hull.npz", "crystals.npz", "chgnet_shift.json"):
        shutil.move(folder / "mp_20" / name, folder / name)
    entries = {
        symbol: {"composition": {symbol: 2.0}, "energy": energy, "correction": 0.0}
        for symbol, energy in (("Na", -2.6), ("Cl", -3.7), ("O", -9.8))
    }
    (folder / "elements.json").write_text(json.dumps(entries))


def _write_runs(runs: Path, files: Path) -> None:
    from flowllm.cli import main

    asked = ["--num", "2", "--elements", "Na,Cl", "--num-atoms", "2", "--steps", "1"]
    steps = [
        ["generate", *asked, "--device", "cpu", "--out", str(runs / "generate")],
        ["evaluate", str(files / "batch.npz"), "--only", "validity,novelty", "--workers", "1",
         "--out", str(runs / "evaluate")],
        ["data", str(files / "table.csv"), "--random-split", "--workers", "1",
         "--out", str(runs / "data")],
    ]  # fmt: skip
    for words in steps:
        code = main(words)
        if code:
            raise RuntimeError(f"{' '.join(words)} ends with {code}")
