"""Facts about a crystal, as shown in reports, widgets and tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.contacts import SHORT, shortest_contacts
from flowllm.metrics.composition import compositional_validity
from flowllm.metrics.properties import density
from flowllm.metrics.symmetry import space_groups
from flowllm.metrics.validity import structural_faults
from flowllm.symmetry.symbols import symbol_of


@dataclass(frozen=True)
class CrystalFacts:
    """Facts about one crystal.

    Attributes:
        formula: reduced; empty where a species is open.
        fault: what makes its structure invalid; empty if it is valid.
        charge_balanced: whether its composition is valid (SMACT).
        space_group: international number at 0.1 Å; 0 where spglib finds none.
        symbol: of the space group, as in "Fm-3m"; empty where there is none.
        lengths: of the cell, a, b, c in Å.
        angles: of the cell, α, β, γ in degrees.
        density: g/cm^3.
        volume: of the cell, in Å^3.
        num_atoms: in the cell.
        contact: the shortest contact over the sum of the covalent radii (Cordero et al.); NaN
            where the cell has zero volume, infinite beyond 5 Å.
        unusual: whether two atoms are nearer than in 99.5 % of the known crystals with both.
    """

    formula: str
    fault: str
    charge_balanced: bool
    space_group: int
    symbol: str
    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]
    density: float
    volume: float
    num_atoms: int
    contact: float
    unusual: bool

    @property
    def valid(self) -> bool:
        """Structure and composition."""
        return not self.fault and self.charge_balanced

    @property
    def volume_per_atom(self) -> float:
        """Å^3."""
        return self.volume / max(1, self.num_atoms)

    @property
    def believable(self) -> bool:
        """A valid structure without contacts shorter than in known crystals."""
        return not self.fault and self.contact >= SHORT and not self.unusual


def crystal_facts(crystals: CrystalBatch) -> list[CrystalFacts]:
    """Facts about B crystals; with open species there is no formula or valid composition."""
    known = np.array([bool((c.atomic_numbers > 0).all()) for c in crystals], dtype=bool)
    formulas = iter(crystals[known].formulas if known.any() else [])
    balanced = iter(compositional_validity(crystals[known]) if known.any() else [])
    contacts = shortest_contacts(crystals)
    # without a volume there are no distances to compare: such a cell is not a sound one
    unusual = ~(contacts.margin >= 0)
    groups = space_groups(crystals)
    faults, densities, volumes = structural_faults(crystals), density(crystals), crystals.volumes
    facts = []
    for index, is_known in enumerate(known):
        a, b, c = (float(x) for x in crystals.lengths[index])
        alpha, beta, gamma = (float(x) for x in crystals.angles[index])
        number = int(groups[index])
        facts.append(
            CrystalFacts(
                formula=next(formulas) if is_known else "",
                fault=faults[index],
                charge_balanced=bool(next(balanced)) if is_known else False,
                space_group=number,
                symbol=symbol_of(number) if number else "",
                lengths=(a, b, c),
                angles=(alpha, beta, gamma),
                density=float(densities[index]),
                volume=float(volumes[index]),
                num_atoms=int(crystals.num_atoms[index]),
                contact=float(contacts.shortest_ratio[index]),
                unusual=bool(unusual[index]),
            )
        )
    return facts
