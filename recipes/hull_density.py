"""How stable and metastable rates depend on how many entries a hull is built of.

Usage: python recipes/hull_density.py EVALUATION, a folder of `flowllm evaluate` with relaxed
crystals; needs FLOWLLM_DATA_DIR. Each share is drawn three times.
"""

import sys
from pathlib import Path

import numpy as np

from flowllm.data.hull import FormationEnergyHull
from flowllm.data.hull_entries import HULL_FILE, read_formation_energies
from flowllm.data.sources import data_dir
from flowllm.metrics.properties import n_elements
from flowllm.relax import Relaxation
from flowllm.stability import is_stable, load_hull

relaxed = Relaxation.load(Path(sys.argv[1]) / "stages" / "relaxation" / "relaxed.npz")
energies = load_hull("mp_20").references.formation_energy(relaxed.crystals, relaxed.energies)
kinds, compositions = n_elements(relaxed.crystals), relaxed.crystals.compositions
folder = data_dir()
assert folder is not None, "set FLOWLLM_DATA_DIR"
formulas, known = read_formation_energies(folder / HULL_FILE)
rng = np.random.default_rng(0)
for share in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0):
    rates = []
    for _ in range(3 if share < 1 else 1):
        kept = np.flatnonzero(rng.random(len(formulas)) < share)
        hull = FormationEnergyHull([formulas[i] for i in kept], known[kept])
        above = np.array(
            [e - hull.hull_energy(c) for c, e in zip(compositions, energies, strict=True)]
        )
        rates.append([is_stable(above, kinds, limit).mean() for limit in (0.1, 0.0)])
    metastable, stable = np.mean(rates, axis=0)
    print(f"{share:4.0%} of the entries: metastable {metastable:.1%}, stable {stable:.1%}")
