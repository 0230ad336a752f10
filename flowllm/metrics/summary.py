"""The small report on a batch of crystals: validity, variety and simple statistics."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.composition import PAPERS_SETTINGS, SmactSettings, compositional_validity
from flowllm.metrics.properties import density, n_elements
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.metrics.validity import structural_validity


@dataclass(frozen=True)
class Summary:
    """Figures of n crystals; every rate is over all of them.

    Attributes:
        n: crystals.
        structural: valid structures, periodic images of the same atom counted.
        structural_no_self_images: the same by the papers' code, which leaves them out.
        compositional: valid compositions by SMACT.
        both: structure (self-images counted) and composition valid.
        distinct: share of crystals whose reduced formula has not come before, which is the number
            of distinct formulas over n. It falls with n: compare equal n only.
        new: share of crystals whose reduced formula is not in the training set; None if that was
            not given.
        atoms: mean atoms per cell.
        density: mean density in g/cm^3, of the cells that span a volume.
        density_quantiles: 5, 50 and 95 % quantiles of the density in g/cm^3.
        n_ary: {number of elements: crystals}.
        settings: of the composition test.
    """

    n: int
    structural: Estimate
    structural_no_self_images: Estimate
    compositional: Estimate
    both: Estimate
    distinct: Estimate
    new: Estimate | None
    atoms: Estimate
    density: Estimate
    density_quantiles: tuple[float, float, float]
    n_ary: dict[int, int]
    settings: SmactSettings

    def table(self) -> list[tuple[str, str]]:
        """Rows (name, value) for a printed table; intervals are bootstrap, 95 %."""
        low, middle, high = self.density_quantiles
        rows = [
            ("crystals", str(self.n)),
            ("valid structure", self.structural.as_percent()),
            ("valid structure, no self-images", self.structural_no_self_images.as_percent()),
            (
                f"valid composition ({self.settings.oxidation_states_set})",
                self.compositional.as_percent(),
            ),
            ("both valid", self.both.as_percent()),
            ("distinct reduced formulas", self.distinct.as_percent()),
        ]
        if self.new is not None:
            rows.append(("formula not in the training set", self.new.as_percent()))
        shares = ", ".join(f"{k}: {v / self.n:.1%}" for k, v in self.n_ary.items())
        return [
            *rows,
            ("mean atoms per cell", self.atoms.as_number(2)),
            ("mean density, g/cm³", self.density.as_number(2)),
            ("density, 5 / 50 / 95 %", f"{low:.2f} / {middle:.2f} / {high:.2f}"),
            ("number of elements", shares or "none"),
        ]


def summarise(
    crystals: CrystalBatch,
    training_formulas: Collection[str] | None = None,
    settings: SmactSettings = PAPERS_SETTINGS,
) -> Summary:
    """Validity, variety and simple statistics of B crystals.

    Args:
        crystals: any crystals; cells without volume count as invalid.
        training_formulas: reduced formulas of the training set (`CrystalBatch.formulas`).
        settings: of the composition test.
    """
    structural = structural_validity(crystals)
    compositional = compositional_validity(crystals, settings)
    formulas = np.array(crystals.formulas, dtype=np.str_)
    first = np.zeros(len(crystals), dtype=bool)
    first[np.unique(formulas, return_index=True)[1]] = True
    new = None
    if training_formulas is not None:
        known = frozenset(training_formulas)
        new = estimate(np.array([f not in known for f in formulas.tolist()], dtype=bool))
    values = density(crystals)
    values = values[np.isfinite(values)]
    quantiles = np.quantile(values, [0.05, 0.5, 0.95]) if len(values) else np.full(3, np.nan)
    kinds, counts = np.unique(n_elements(crystals), return_counts=True)
    return Summary(
        n=len(crystals),
        structural=estimate(structural),
        structural_no_self_images=estimate(structural_validity(crystals, self_images=False)),
        compositional=estimate(compositional),
        both=estimate(structural & compositional),
        distinct=estimate(first),
        new=new,
        atoms=estimate(crystals.num_atoms),
        density=estimate(values),
        density_quantiles=tuple(quantiles.tolist()),
        n_ary=dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
        settings=settings,
    )
