"""Fit the shift of CHGNet's energies by anion: flowllm/reference/mp_20/chgnet_shift.json.

Usage: python -m recipes.fit_chgnet_shift FOLDER [EACH]. Relaxes EACH training crystals of each
class of anion (60), 200 other training crystals and 200 test crystals, drawn at random among those
whose formation energy is known; the shift is fitted on the first and judged by the others. Takes
about 5 minutes on one core and goes on where it stopped.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm import load_dataset
from flowllm.data import CrystalSet
from flowllm.data.energies import formation_energies
from flowllm.relax import Relaxation, relax
from flowllm.stability import load_hull
from flowllm.stability.anions import CLASSES, SHIFT_FILE, AnionShift, anion_classes
from flowllm.stability.hull_table import REFERENCE_FOLDER

PART = 16
OTHERS = 200


def drawn(rng: np.random.Generator, each: int) -> dict[str, CrystalSet]:
    """The crystals to fit on, and those to judge by."""
    sets = {}
    for split in ("train", "test"):
        whole = load_dataset("mp_20", split)
        sets[split] = whole[np.isfinite(whole.properties["formation_energy"])]
    train, kinds = sets["train"], anion_classes(sets["train"].crystals)
    chosen = np.concatenate(
        [rng.permutation(np.flatnonzero(kinds == name))[:each] for name in CLASSES]
    )
    others = rng.permutation(np.setdiff1d(np.arange(len(train)), chosen))[:OTHERS]
    test = rng.permutation(len(sets["test"]))[:OTHERS]
    return {"fit": train[chosen], "train": train[others], "test": sets["test"][test]}


def relaxed(crystals: CrystalSet, folder: Path) -> Relaxation:
    """The crystals relaxed, in parts that stay."""
    parts = []
    for start in range(0, len(crystals), PART):
        file = folder / f"{start:04d}.npz"
        if not file.is_file():
            relax(crystals.crystals[start : start + PART], workers=1).save(file)
            print(file, flush=True)
        parts.append(Relaxation.load(file))
    return Relaxation.concatenate(parts)


def figures(errors: np.ndarray) -> str:
    """Mean, mean absolute and median absolute error in meV/atom."""
    e = 1000 * errors[np.isfinite(errors)]
    half = 1.96 * e.std() / np.sqrt(len(e))
    return (
        f"mean {e.mean():+.1f} ± {half:.1f}, mean absolute {np.abs(e).mean():.1f}, "
        f"median absolute {np.median(np.abs(e)):.1f} meV/atom"
    )


def main() -> None:
    """Draw, relax, fit, judge, write."""
    folder = Path(sys.argv[1])
    each = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    references = load_hull("mp_20").references
    sets = drawn(np.random.default_rng(0), each)
    errors = {}
    for name, crystals in sets.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        made = relaxed(crystals, folder / name)
        energies = references.formation_energy(made.crystals, made.energies)
        errors[name] = energies - formation_energies(crystals)
    fit = sets["fit"]
    kinds = anion_classes(fit.crystals)
    for name in CLASSES:
        print(f"{name}: {(kinds == name).sum()} crystals, {figures(errors['fit'][kinds == name])}")
    shift = AnionShift.fit(
        fit.crystals, errors["fit"], f"fitted on {len(fit)} relaxed training crystals"
    )
    said = []
    for name in ("train", "test"):
        batch = sets[name].crystals
        before, after = errors[name], errors[name] - shift.of(batch)
        print(f"{len(batch)} of {name}: {figures(before)}; shifted {figures(after)}")
        said.append(
            f"{len(batch)} other {name} crystals {figures(before)}, shifted {figures(after)}"
        )
        own = anion_classes(batch)
        for kind in CLASSES:
            print(f"  {kind}: {(own == kind).sum()}, {figures(after[own == kind])}")
    made = replace(shift, error="; ".join(said))
    made.save(REFERENCE_FOLDER / "mp_20" / SHIFT_FILE)
    print(made.describe())


if __name__ == "__main__":
    main()
