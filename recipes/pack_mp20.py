"""Make the arrays of MP-20 that ship: flowllm/reference/mp_20/crystals.npz.

Usage: python -m recipes.pack_mp20 [FILE]; needs FLOWLLM_DATA_DIR. Reads the splits' CIFs, prepares
them by the default settings (40 s on two cores), and gives every crystal an energy above the hull:
training crystals by a hull that knows no held-out crystal, the others by the whole hull.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.data import CrystalSet
from flowllm.data.compact import read_split, write_splits
from flowllm.data.energies import energies_above, formation_energies, hide_held_out
from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import HULL_FILE, read_formation_energies
from flowllm.data.prepare import prepare
from flowllm.data.shipped import CRYSTALS, ROOM
from flowllm.data.sources import data_dir


def with_energies(crystals: CrystalSet, hull: FormationEnergyHull) -> CrystalSet:
    """The set with its energies above a hull."""
    above = energies_above(crystals, formation_energies(crystals), hull)
    return replace(crystals, properties={**crystals.properties, "e_above_hull": above})


def main() -> None:
    """Prepare, measure, write."""
    folder = data_dir()
    assert folder is not None, "set FLOWLLM_DATA_DIR"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOM / "mp_20" / CRYSTALS
    splits = {}
    for split in ("train", "val", "test"):
        with tempfile.TemporaryDirectory() as place:
            table = folder / "mp_20" / f"{split}.csv.gz"
            splits[split] = prepare(table, Path(place) / "prepared")["train"]
    formulas, energies = read_formation_energies(folder / HULL_FILE)
    train, held_out = splits["train"], [splits["val"], splits["test"]]
    seen = hide_held_out(formulas, energies, train, formation_energies(train), held_out)
    print(f"hull: {len(formulas):,} entries, for training {len(seen[0]):,}")
    splits["train"] = with_energies(train, FormationEnergyHull(*seen))
    whole = FormationEnergyHull(formulas, energies)
    for split in ("val", "test"):
        splits[split] = with_energies(splits[split], whole)
    write_splits(out, splits)
    for split in splits:
        crystals = read_split(out, split)
        above = crystals.properties["e_above_hull"]
        known = above[np.isfinite(above)]
        print(
            f"{split}: {len(crystals):,} crystals, {len(known):,} with an energy above the hull, "
            f"{(known == 0).sum():,} of them 0, {(known < 1e-4).sum():,} below 0.1 meV, "
            f"median {np.median(known):.4f}, largest {known.max():.3f} eV/atom"
        )
    print(f"{out}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
