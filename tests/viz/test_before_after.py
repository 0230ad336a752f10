"""Crystals before and after refinement: one scale, one camera, and a choice that differs."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.before_after import choose_diverse, structure_figure


def test_before_and_after_share_scale_and_camera(prior, refined):
    layout = structure_figure(prior[0], refined[0]).layout
    spans = [
        axis.range[1] - axis.range[0]
        for scene in (layout.scene, layout.scene2)
        for axis in (scene.xaxis, scene.yaxis, scene.zaxis)
    ]
    assert spans == pytest.approx([spans[0]] * 6)
    assert layout.scene.camera == layout.scene2.camera
    assert layout.scene.domain.x == (0, 0.5)
    alone = structure_figure(None, refined[0])
    assert alone.layout.scene.domain.x == (0, 1)
    assert {trace.scene for trace in alone.data} == {"scene"}


def test_chosen_crystals_are_valid_and_differ(refined):
    many = CrystalBatch.concatenate([refined, refined, refined])
    many = many.replace(ids=np.array([f"n{i}" for i in range(9)]))
    valid = {f"n{i}": i != 0 for i in range(9)}
    chosen = choose_diverse(many, valid, 3)
    assert sorted({many.formulas[i] for i in chosen}) == ["Cu", "NaCl", "SrTiO3"]
    assert 0 not in chosen
    assert len(choose_diverse(many, valid, 20)) == 9  # too few valid ones: the rest follows
    assert choose_diverse(CrystalBatch.empty(), {}, 3) == []
