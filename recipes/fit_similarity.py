"""Fit `flowllm/methods/templates/similarity.npz` to MP-20's training split.

    python -m recipes.fit_similarity [TABLE]

TABLE is an archive of templates as a trained prior `templates` holds it; without one it is made of
the training split, which takes 10 minutes on one core, and the fit itself 2. Printed are the loss
of each pass, and for the validation split how often the prototype and the roles of the elements are
found by templates of other formulas, in one to twenty tries.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from flowllm.data.load import load_dataset
from flowllm.methods.templates.build import build_table
from flowllm.methods.templates.fit import FitSettings, fit_similarity
from flowllm.methods.templates.ranking import TemplateRanking
from flowllm.methods.templates.similarity import SHIPPED
from flowllm.methods.templates.stoichiometry import all_stoichiometries
from flowllm.methods.templates.table import TemplateTable

ROWS = 1000
TRIES = (1, 2, 5, 20)


def main() -> None:
    """Fit, write, and print what validation says."""
    if len(sys.argv) > 1:
        table = TemplateTable.load(Path(sys.argv[1]))
    else:
        table = build_table(load_dataset("mp_20", "train").crystals)
    known = all_stoichiometries(table)
    similarity = fit_similarity(known, FitSettings(), lambda k, loss: print(k, round(loss, 4)))
    similarity.save(SHIPPED)
    validation = load_dataset("mp_20", "val").crystals
    rows = np.sort(np.random.default_rng(0).permutation(len(validation))[:ROWS])
    wanted = build_table(validation[rows])
    ranking = TemplateRanking(table, similarity)
    places = np.array([ranking.place_of(*wanted.orbits_of(row)) for row in range(len(wanted))])
    for tries in TRIES:
        print(f"found in {tries}: {np.mean((places >= 0) & (places < tries)):.3f}")


if __name__ == "__main__":
    main()
