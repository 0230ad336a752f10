"""Pieces of work on several cores: in order, one thread each, and the first error is passed on."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from flowllm.data.shipped import load_shipped
from flowllm.errors import InputError
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantSettings
from flowllm.systems.record import find_model
from flowllm.training.device import used_threads
from flowllm.training.side_by_side import side_by_side

CPU = torch.device("cpu")


def test_pieces_meet_and_each_has_one_thread() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def work(item: int) -> tuple[int, int]:
        meeting.wait()  # passes only if two are at work
        return item, torch.get_num_threads()

    with used_threads(2):
        assert list(side_by_side(work, range(6), CPU)) == [(item, 1) for item in range(6)]
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_ends_what_has_not_begun(cores: int) -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise InputError("item 1")
        return item

    with used_threads(cores):
        found = side_by_side(work, range(1000), CPU)
        assert next(found) == 0
        with pytest.raises(InputError, match="item 1"):
            list(found)
        assert torch.get_num_threads() == cores
    assert len(begun) < 1000


def test_the_flow_is_the_same_on_any_number_of_cores() -> None:
    refiner = EquivariantRefiner.load(find_model("mp20-symmetric") / "refiner")
    crystals = load_shipped("mp_20", "test").crystals[:60]
    settings = EquivariantSettings(steps=2, batch_size=13)
    found = []
    for cores in (1, 2, 5):
        with used_threads(cores):
            found.append(refiner.refine(crystals, settings))
    for other in found[1:]:
        for name in ("frac_coords", "lengths", "angles"):
            np.testing.assert_array_equal(getattr(found[0], name), getattr(other, name))
