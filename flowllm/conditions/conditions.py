"""The conditions on a crystal, each defined once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any

from flowllm.conditions import kinds
from flowllm.conditions.formula import read_composition, read_elements, reduced_formula
from flowllm.conditions.kinds import ConditionKind
from flowllm.conditions.space_groups import read_space_group
from flowllm.settings import setting


def _condition(kind: ConditionKind) -> Any:
    """A field of `Conditions`, open by default."""
    plain = kind.parse in (int, float)
    option = {} if plain else {"type": str, "read": kind.read}
    return field(default=None, metadata={"kind": kind, "about": kind.about, **option})


def _energy(name: str, title: str, sentence: str, about: str, unit: str, example: str) -> Any:
    return _condition(
        ConditionKind(
            title, sentence, about, example, share=0.15, unit=unit, number=True, measured=True,
            read=kinds.real, parse=float, write=kinds.two_decimals, check=kinds.finite(name),
        )
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Conditions on a crystal; None leaves one open.

    The fields stand in the order in which their sentences stand in a prompt. To add a condition,
    add a field.

    Attributes:
        formula: reduced formula, as in SrTiO3.
        elements: exactly these elements.
        num_atoms: atoms in the primitive cell.
        formation_energy: eV/atom.
        e_above_hull: eV/atom.
        band_gap: eV.
        composition: {element: atoms in the cell}.
        space_group: international number, 1 to 230; a symbol is turned into it.
        prompt: a whole prompt in a person's own words, which a language model reads instead of the
            sentences of the conditions; they hold what can be read of it. Other priors go by the
            conditions alone.

    Raises:
        InputError: an unknown element, or a number out of its range.
    """

    formula: str | None = _condition(
        ConditionKind(
            "formula", "The chemical formula is",
            "reduced formula, as in SrTiO3; any number of formula units",
            "SrTiO3", share=0.15, read=reduced_formula,
        )
    )  # fmt: skip
    elements: tuple[str, ...] | None = _condition(
        ConditionKind(
            "elements", "The elements are", "exactly these elements, as in Li,Fe,O",
            "Li, Fe, O", share=0.15, read=read_elements, parse=kinds.parsed_elements,
            write=kinds.written_elements, check=kinds.check_elements,
        )
    )  # fmt: skip
    num_atoms: int | None = _condition(
        ConditionKind(
            "number of atoms", "The number of atoms is",
            "atoms in the primitive cell; by default drawn as in the training data",
            "5", share=0.5, number=True, read=kinds.whole, parse=int,
            check=kinds.positive("number of atoms"),
        )
    )  # fmt: skip
    formation_energy: float | None = _energy(
        "formation_energy", "formation energy", "The formation energy per atom is",
        "formation energy, in eV/atom", "eV/atom", "-1.50",
    )  # fmt: skip
    e_above_hull: float | None = _energy(
        "e_above_hull", "energy above the hull", "The energy above the convex hull is",
        "energy above the convex hull, in eV/atom", "eV/atom", "0.00",
    )  # fmt: skip
    band_gap: float | None = _energy(
        "band_gap", "band gap", "The band gap is", "band gap, in eV", "eV", "0.00"
    )
    composition: dict[str, int] | None = _condition(  # noqa: RUF009 - None is not a mutable default
        ConditionKind(
            "unit cell", "The unit cell contains",
            'contents of the primitive cell, as in "Sr1 Ti1 O3"',
            "Sr1 Ti1 O3", share=0.9, read=read_composition, parse=kinds.parsed_composition,
            write=kinds.written_composition, check=kinds.check_composition,
        )
    )  # fmt: skip
    space_group: int | None = _condition(
        ConditionKind(
            "space group", "The space group number is",
            "number (1 to 230) or symbol, as in Fm-3m", "1 to 230 or Fm-3m",
            share=0.85, measured=True, read=read_space_group, parse=read_space_group,
            check=kinds.between("space group", 1, 230),
        )
    )  # fmt: skip
    prompt: str | None = setting(None, option=False)

    def __post_init__(self) -> None:
        if self.space_group is not None:
            object.__setattr__(self, "space_group", read_space_group(self.space_group))
        for name, kind in KINDS.items():
            value = getattr(self, name)
            if value is not None:
                kind.check(value)

    def known(self) -> list[str]:
        """The names of the conditions that are set, in the order of the sentences."""
        return [name for name in KINDS if getattr(self, name) is not None]

    def only(self, names: Collection[str]) -> Conditions:
        """The same with all but the named conditions left open."""
        return Conditions(**{name: getattr(self, name) for name in KINDS if name in names})


KINDS: dict[str, ConditionKind] = {
    f.name: f.metadata["kind"] for f in fields(Conditions) if "kind" in f.metadata
}
"""Name -> kind, in the order of a prompt's sentences."""


def written_value(name: str, value: Any) -> str:
    """The value of a condition as written in its sentence, as in "Sr1 Ti1 O3" or "-1.50"."""
    return KINDS[name].write(value)
