"""Which crystals are shown first."""

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.choice import choose_diverse


def test_chosen_crystals_are_good_and_differ(refined):
    many = CrystalBatch.concatenate([refined, refined, refined])
    many = many.replace(ids=np.array([f"n{i}" for i in range(9)]))
    good = {f"n{i}": i != 0 for i in range(9)}
    chosen = choose_diverse(many, good, 3)
    assert sorted({many.formulas[i] for i in chosen}) == ["Cu", "NaCl", "SrTiO3"]
    assert 0 not in chosen
    assert len(choose_diverse(many, good, 20)) == 9  # too few good ones: the rest follows
    assert choose_diverse(CrystalBatch.empty(), {}, 3) == []
