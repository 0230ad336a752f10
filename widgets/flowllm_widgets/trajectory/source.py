"""The content of a viewer: trajectories of several crystals, and still crystals beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError

if TYPE_CHECKING:
    from flowllm.systems.generation import Generation

ENDS = ("prior", "refined")


@dataclass(frozen=True)
class Source:
    """Trajectories and the crystals beside them.

    Attributes:
        trajectory: T frames of B crystals.
        prior: B crystals in its order.
        refined: B crystals in its order.
        references: per crystal a batch of one, or None.
        reference_name: caption of the references.
        ends: captions of prior and refined.
    """

    trajectory: Trajectory
    prior: CrystalBatch
    refined: CrystalBatch
    references: tuple[CrystalBatch | None, ...]
    reference_name: str
    ends: tuple[str, str] = ENDS

    @classmethod
    def of(
        cls,
        trajectory: Trajectory | Generation,
        prior: CrystalBatch | None = None,
        refined: CrystalBatch | None = None,
        reference: CrystalBatch | None = None,
        reference_name: str = "relaxed",
        crystal: int = 0,
        ends: tuple[str, str] = ENDS,
    ) -> Source:
        """From any supported input.

        Args:
            trajectory: of B crystals, or a `Generation` with one.
            prior: B crystals by id; the first frame (a generation's prior) if None.
            refined: B crystals by id; the last frame if None.
            reference: crystals by id, or a single one: of the same id, else for all crystals of its
                composition.
            reference_name: caption.
            crystal: position of the one that a single reference must fit.
            ends: captions of prior and refined.

        Raises:
            InputError: names what is wrong: no trajectory, no crystal in it, crystals that are
                missing or of another composition.
        """
        moving = getattr(trajectory, "trajectory", trajectory)
        if not isinstance(moving, Trajectory):
            raise InputError(f"a trajectory is needed, not {type(trajectory).__name__}")
        if prior is None and moving is not trajectory:
            prior = trajectory.prior  # type: ignore[union-attr]
        count = moving.num_crystals
        if not count:
            raise InputError("the trajectory contains no crystal")
        check_position(crystal, count)
        first, last = moving.first, moving.last
        return cls(
            moving,
            first if prior is None else _by_id(prior, first, "prior"),
            last if refined is None else _by_id(refined, last, "refined"),
            _references(reference, last, reference_name, crystal),
            reference_name,
            ends,
        )

    def stills(self, crystal: int) -> dict[str, CrystalBatch]:
        """{caption: batch of one} for one crystal."""
        times, axis = self.trajectory.times, self.trajectory.axis
        at = [f"t = {times[k]:g}" if axis is None else axis.text(k) for k in (0, -1)]
        stills = {f"{self.ends[0]} ({at[0]})": self.prior[crystal]}
        if len(times) > 1:
            stills[f"{self.ends[1]} ({at[1]})"] = self.refined[crystal]
        reference = self.references[crystal]
        if reference is not None:
            stills[self.reference_name] = reference
        return stills

    @property
    def labels(self) -> list[str]:
        """Per crystal its id and formula, at the last frame."""
        last = self.trajectory.last
        formulas = [_formula(one) for one in last]
        return [f"{name}  {formula}" for name, formula in zip(last.ids, formulas, strict=True)]


def check_position(crystal: int, count: int) -> None:
    """Refuse a position outside 0 … count - 1.

    Raises:
        InputError: it is outside.
    """
    if not 0 <= crystal < count:
        raise InputError(f"no crystal {crystal}; the trajectory holds {count}, counted from 0")


def _by_id(crystals: CrystalBatch, wanted: CrystalBatch, name: str) -> CrystalBatch:
    """Crystals in the order of others with the same ids, of the same atoms."""
    places = {str(i): place for place, i in enumerate(crystals.ids)}
    missing = [str(i) for i in wanted.ids if str(i) not in places]
    if missing:
        raise InputError(f"{name}: no crystal {missing[0]}")
    result = crystals[[places[str(i)] for i in wanted.ids]]
    for one, other in zip(result, wanted, strict=True):
        if not np.array_equal(np.sort(one.atomic_numbers), np.sort(other.atomic_numbers)):
            raise InputError(f"{name}: {other.ids[0]} is {_formula(one)}, not {_formula(other)}")
    return result


def _references(
    reference: CrystalBatch | None, last: CrystalBatch, name: str, crystal: int
) -> tuple[CrystalBatch | None, ...]:
    """The reference of each crystal; reduced formulas must agree, cell sizes need not."""
    if reference is None:
        return (None,) * len(last)
    if not len(reference):
        raise InputError(f"{name}: it contains no crystal")
    formulas = [_formula(one) for one in last]
    places = {str(i): place for place, i in enumerate(reference.ids)}
    found = [places.get(str(i)) for i in last.ids]
    if len(reference) == 1 and found == [None] * len(last):
        own = _formula(reference)
        if own != formulas[crystal]:
            raise InputError(f"{name} is {own}, but {last.ids[crystal]} is {formulas[crystal]}")
        return tuple(reference if formula == own else None for formula in formulas)
    if found == [None] * len(last):
        raise InputError(f"{name}: none of its ids is in the trajectory ({reference.ids[0]}, …)")
    result = tuple(None if place is None else reference[place] for place in found)
    for one, formula, crystal_id in zip(result, formulas, last.ids, strict=True):
        if one is not None and _formula(one) != formula:
            raise InputError(f"{name}: {crystal_id} is {_formula(one)}, not {formula}")
    return result


def _formula(crystal: CrystalBatch) -> str:
    """The reduced formula of a batch of one; a type that is left open is written as ?."""
    if (crystal.atomic_numbers < 1).any() or not len(crystal.atomic_numbers):
        return "?"
    return crystal.formulas[0]
