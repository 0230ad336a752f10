"""Conformance checks of priors and refiners against `flowllm.systems.protocols`.

Meant for the tests of every kind, in this package and in others: each function raises an
`AssertionError` that says which promise is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.systems.protocols import Prior, Refiner
from flowllm.systems.watch import Stopped, Watch

TOLERANCE = 1e-4  # of coordinates and cells that are computed in another order
MOVABLE = frozenset({"species", "coords", "lattice"})


def check_prior(
    prior: Prior,
    folder: Path,
    asked: Sequence[Conditions],
    settings: Any = None,
    different: Prior | None = None,
) -> None:
    """Check a prior: seeds, ids, progress, stop, conditions, saving, digest.

    Args:
        prior: what is checked.
        folder: an empty one for its files.
        asked: at least two conditions that it can meet.
        settings: an instance of its `Settings`; default the defaults.
        different: a prior of the same kind that behaves differently, whose digest must differ.

    Raises:
        AssertionError: a promise is broken.
    """
    _check_about(prior)
    names = prior.exact | prior.heeded
    assert names <= set(KINDS), f"exact and heeded name unknown conditions: {names - set(KINDS)}"
    assert not prior.exact & prior.heeded, "a condition is either exact or heeded"
    settings = prior.Settings() if settings is None else settings
    for conditions in asked:
        prior.check(conditions)
    seeds = list(range(7, 7 + len(asked)))
    finished: list[int] = []
    steps = _Steps()
    watch = Watch(on_finished=finished.append, stop=steps)
    crystals = prior.sample(asked, settings, seeds, watch)
    positions = _check_drawn(crystals, len(asked))
    assert sum(finished) == len(asked), f"finished {sum(finished)} of {len(asked)} were reported"
    assert steps.count, "watch.step was never called"
    for crystal, place in zip(crystals, positions, strict=True):
        _check_exact(prior, crystal, asked[place])
    again = prior.sample(asked, settings, seeds)
    _check_same(again, crystals, "the same seeds give different crystals")
    for place in range(len(asked)):
        alone = prior.sample([asked[place]], settings, [seeds[place]])
        expected = crystals[np.array([position == place for position in positions], dtype=bool)]
        _check_same(alone, expected, f"crystal {place} depends on what is drawn beside it")
    _check_stop(lambda w: prior.sample(asked, settings, seeds, w))
    prior.save(folder)
    loaded = type(prior).load(folder, "cpu")
    assert loaded.kind == prior.kind, "it is loaded as a different kind"
    assert loaded.digest() == prior.digest(), "its digest changes when it is saved and loaded"
    _check_same(
        loaded.sample(asked, settings, seeds), crystals, "it draws different crystals after loading"
    )
    if different is not None:
        assert different.digest() != prior.digest(), "two priors that differ share a digest"


def check_refiner(
    refiner: Refiner,
    folder: Path,
    crystals: CrystalBatch,
    settings: Any = None,
    different: Refiner | None = None,
) -> None:
    """Check a refiner: order, ids, what it moves, progress, stop, start, saving, digest.

    Args:
        refiner: what is checked.
        folder: an empty one for its files.
        crystals: at least two that it can refine.
        settings: an instance of its `Settings`; default the defaults.
        different: a refiner of the same kind that behaves differently, whose digest must differ.

    Raises:
        AssertionError: a promise is broken.
    """
    _check_about(refiner)
    assert refiner.moves <= MOVABLE, f"moves names more than {sorted(MOVABLE)}"
    settings = refiner.Settings() if settings is None else settings
    seeds = list(range(11, 11 + len(crystals)))
    finished: list[int] = []
    steps = _Steps()
    watch = Watch(on_finished=finished.append, stop=steps)
    path = refiner.refine(crystals, settings, seeds, watch)
    assert sum(finished) == len(crystals), f"finished {sum(finished)} of {len(crystals)}"
    assert steps.count, "watch.step was never called"
    _check_path(refiner, path, crystals, 0.0)
    again = refiner.refine(crystals, settings, seeds)
    _check_same(again.last, path.last, "the same seeds give different crystals", TOLERANCE)
    alone = refiner.refine(crystals[1:2], settings, seeds[1:2])
    _check_same(alone.last, path.last[1:2], "a crystal depends on its neighbours", TOLERANCE)
    _check_path(refiner, refiner.refine(crystals, settings, seeds, Watch(), 0.5), crystals, 0.5)
    _check_stop(lambda w: refiner.refine(crystals, settings, seeds, w))
    empty = refiner.refine(CrystalBatch.empty(), settings, [])
    assert empty.num_crystals == 0, "it makes crystals out of an empty batch"
    refiner.save(folder)
    loaded = type(refiner).load(folder, "cpu")
    assert loaded.kind == refiner.kind, "it is loaded as a different kind"
    assert loaded.digest() == refiner.digest(), "its digest changes when it is saved and loaded"
    same = loaded.refine(crystals, settings, seeds).last
    _check_same(same, path.last, "it gives different crystals after loading", TOLERANCE)
    if different is not None:
        assert different.digest() != refiner.digest(), "two refiners that differ share a digest"


class _Steps:
    """Counts the queries whether to stop, and never stops."""

    count = 0

    def __call__(self) -> bool:
        self.count += 1
        return False


def _check_about(part: Prior | Refiner) -> None:
    assert part.kind and part.label, "kind and label must not be empty"
    settings = part.Settings
    assert dataclasses.is_dataclass(settings), "Settings is not a dataclass"
    assert settings() == settings(), "two Settings of the same values differ"
    try:
        for field in dataclasses.fields(settings):
            setattr(settings(), field.name, None)
            raise AssertionError("Settings can be changed; make the dataclass frozen")
    except dataclasses.FrozenInstanceError:
        pass
    assert part.digest() == part.digest(), "the digest changes from call to call"


def _check_drawn(crystals: CrystalBatch, count: int) -> list[int]:
    names = [str(name) for name in crystals.ids]
    assert all(name.isdigit() for name in names), f"ids are not positions: {names}"
    positions = [int(name) for name in names]
    assert positions == sorted(set(positions)), "crystals are not in the order of the conditions"
    assert all(position < count for position in positions), "an id is not a position"
    return positions


def _check_exact(prior: Prior, crystal: CrystalBatch, asked: Conditions) -> None:
    composition = crystal.compositions[0] if (crystal.atomic_numbers > 0).all() else None
    if "num_atoms" in prior.exact and asked.num_atoms is not None:
        assert int(crystal.num_atoms[0]) == asked.num_atoms, "num_atoms is not respected"
    if "composition" in prior.exact and asked.composition is not None:
        assert composition == asked.composition, "the composition is not respected"
    if "elements" in prior.exact and asked.elements is not None:
        assert set(composition or ()) == set(asked.elements), "the elements are not respected"


def _check_path(refiner: Refiner, path: Trajectory, crystals: CrystalBatch, start: float) -> None:
    assert path.ids.tolist() == crystals.ids.tolist(), "ids or their order changed"
    assert path.num_atoms.tolist() == crystals.num_atoms.tolist(), "numbers of atoms changed"
    times = path.times.tolist()
    assert times == sorted(times) and len(set(times)) == len(times), "times do not rise"
    assert times[0] == start and times[-1] <= 1, f"times go from {times[0]} to {times[-1]}"
    _check_same(path.first, crystals, "the first frame is not what was given", 1e-9)
    last = path.last
    if "species" not in refiner.moves:
        same = np.array_equal(last.atomic_numbers, crystals.atomic_numbers)
        assert same, "species changed, which `moves` does not list"
    if "coords" not in refiner.moves:
        assert np.allclose(last.frac_coords, crystals.frac_coords), "coordinates moved"
    if "lattice" not in refiner.moves:
        assert np.allclose(last.lengths, crystals.lengths), "the lattice moved"
        assert np.allclose(last.angles, crystals.angles), "the lattice moved"


def _check_stop(work: Callable[[Watch], Any]) -> None:
    try:
        work(Watch(stop=lambda: True))
    except Stopped:
        return
    raise AssertionError("a stop at the first step was not passed on")


def _check_same(
    found: CrystalBatch, expected: CrystalBatch, message: str, tolerance: float = TOLERANCE
) -> None:
    assert len(found) == len(expected), message
    assert np.array_equal(found.num_atoms, expected.num_atoms), message
    assert np.array_equal(found.atomic_numbers, expected.atomic_numbers), message
    moved = found.frac_coords - expected.frac_coords
    assert np.abs(moved - np.round(moved)).max(initial=0.0) <= tolerance, message
    for name in ("lengths", "angles"):
        gap = np.abs(getattr(found, name) - getattr(expected, name))
        assert gap.max(initial=0.0) <= tolerance, message
