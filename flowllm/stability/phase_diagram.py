"""Phase diagrams of two to four elements, with crystals placed in them: pymatgen's, on our hull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowllm.data.hull_entries import parse_formula
from flowllm.errors import InputError
from flowllm.stability.hull_table import HullTable

if TYPE_CHECKING:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

FEWEST, MOST = 2, 4
"""Elements of a diagram that can be drawn: a line, a triangle, a tetrahedron."""


@dataclass(frozen=True)
class PlacedCrystal:
    """A crystal in a phase diagram.

    Attributes:
        name: in the diagram.
        composition: element -> amount.
        formation_energy: eV/atom.
    """

    name: str
    composition: Mapping[str, float]
    formation_energy: float


@dataclass(frozen=True)
class Place:
    """The location of a crystal in a phase diagram.

    Attributes:
        e_above_hull: eV/atom, of the hull without it; negative where it lowers the hull.
        products: what it decomposes to, or would be made of: formula -> share of the atoms.
    """

    e_above_hull: float
    products: dict[str, float]

    def in_words(self, name: str) -> str:
        """A sentence."""
        others = " + ".join(f"{share:.0%} {formula}" for formula, share in self.products.items())
        if len(self.products) == 1:
            others = f"the known {next(iter(self.products))}"
        elif self.e_above_hull > 0:
            others += " (shares of the atoms)"
        if self.e_above_hull > 0:
            above = f"{name} lies {self.e_above_hull:.3f} eV/atom above the hull"
            return f"{above}; more stable is {others}."
        return f"{name} lies {-self.e_above_hull:.3f} eV/atom below the hull of {others}."


def elements_of(text: str) -> tuple[str, ...]:
    """The elements of a chemical system as commonly written: "Li-Fe-O", "Li Fe O", "LiFeO2".

    Raises:
        InputError: no element, an unknown one, or another number than two to four.
    """
    formula = "".join(text.replace("-", " ").replace(",", " ").split())
    if not formula:
        raise InputError("the chemical system is empty; write it as in Li-Fe-O")
    return checked_system(tuple(parse_formula(formula)))


def checked_system(elements: Sequence[str]) -> tuple[str, ...]:
    """The elements, if a diagram of this many can be drawn.

    Raises:
        InputError: fewer than two or more than four.
    """
    system = tuple(dict.fromkeys(elements))
    if not FEWEST <= len(system) <= MOST:
        raise InputError(
            f"a phase diagram can be drawn of {FEWEST} to {MOST} elements, not {len(system)}: "
            f"{', '.join(system)}"
        )
    return system


def known_phases(system: Sequence[str], hull: HullTable) -> list[PDEntry]:
    """The elements, and the compounds of a hull that contain no others.

    An element is at 0, or lower where the hull has a form of it below its reference.
    """
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.core import Composition

    within = set(system)
    entries = [
        PDEntry(Composition(element), hull.hull.hull_energy({element: 1.0})) for element in system
    ]
    for formula, energy in zip(hull.formulas.tolist(), hull.energies.tolist(), strict=True):
        elements = set(parse_formula(formula))
        if len(elements) > 1 and elements <= within:
            composition = Composition(formula)
            entries.append(PDEntry(composition, energy * composition.num_atoms))
    return entries


def phase_diagram(system: Sequence[str], hull: HullTable) -> PhaseDiagram:
    """The diagram of a chemical system.

    Args:
        system: two to four elements.
        hull: formation energies of the compounds known.

    Raises:
        InputError: another number of elements.
    """
    from pymatgen.analysis.phase_diagram import PhaseDiagram

    return PhaseDiagram(known_phases(checked_system(system), hull))


def entry_of(crystal: PlacedCrystal) -> PDEntry:
    """A crystal as pymatgen's entry, energies of the elements at 0."""
    from pymatgen.analysis.phase_diagram import PDEntry
    from pymatgen.core import Composition

    composition = Composition(dict(crystal.composition))
    total = crystal.formation_energy * composition.num_atoms
    return PDEntry(composition, total, name=crystal.name)


def place_of(crystal: PlacedCrystal, diagram: PhaseDiagram) -> Place:
    """The location of a crystal in a diagram that does not contain it.

    Raises:
        InputError: it holds an element that the diagram lacks.
    """
    entry = entry_of(crystal)
    within = {e.symbol for e in diagram.elements}
    foreign = sorted({e.symbol for e in entry.composition} - within)
    if foreign:
        raise InputError(f"{crystal.name} holds {', '.join(foreign)}, which the diagram lacks")
    products, energy = diagram.get_decomp_and_e_above_hull(
        entry, allow_negative=True, check_stable=False
    )
    shares = {e.composition.reduced_formula: float(share) for e, share in products.items()}
    return Place(float(energy), dict(sorted(shares.items(), key=lambda item: -item[1])))
