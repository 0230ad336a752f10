"""The default model's compositions where nothing is asked, against those of MP-20's test split.

    python -m recipes.open_compositions [HOW_MANY] [SEED]

Crystals are taken as the prior draws them, without the flow. Printed are the mean density and its
Wasserstein distance from that of the test split, of the crystals with a valid composition and of
200 of them at a time; that of the number of elements; how many reduced formulas no template has;
and how many crystals hold oxygen. 4,000 crystals take half a minute.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.stats import wasserstein_distance as wasserstein

from flowllm import FlowLLM
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.load import load_dataset
from flowllm.metrics.composition import compositional_validity
from flowllm.metrics.properties import density
from flowllm.systems.sampling import draw

AT_A_TIME = 200


def main(how_many: str = "4000", seed: str = "300") -> None:
    """Draw and print."""
    model, test = FlowLLM.from_pretrained(device="cpu"), load_dataset("mp_20", "test").crystals
    known = set(load_dataset("mp_20", "train").crystals.formulas)
    indices = range(int(how_many))
    asked = [model.asked(Request(), index, int(seed)) for index in indices]
    found = draw(model.prior, indices, asked, int(seed), model.prior.Settings())
    drawn = found.crystals
    valid, own, wanted = compositional_validity(drawn), density(drawn), density(test)
    parts = [
        wasserstein(own[k : k + AT_A_TIME][valid[k : k + AT_A_TIME]], wanted)
        for k in range(0, len(own), AT_A_TIME)
    ]
    print(f"{len(drawn)} crystals, {found.rejected} rejected; {100 * valid.mean():.1f} % valid")
    print(
        f"density {own.mean():.2f}, valid {own[valid].mean():.2f}, test {wanted.mean():.2f} g/cm³"
    )
    print(f"wdist density {wasserstein(own[valid], wanted):.3f}, "
          f"of {AT_A_TIME} each {np.mean(parts):.3f}")  # fmt: skip
    print(f"wdist N_el {wasserstein(elements_of(drawn), elements_of(test)):.3f}")
    print(f"new formulas {100 * np.mean([f not in known for f in drawn.formulas]):.1f} %")
    oxygen = np.mean(["O" in composition for composition in drawn.compositions])
    print(f"with oxygen {100 * oxygen:.1f} %")


def elements_of(crystals: CrystalBatch) -> np.ndarray:
    """(B,) numbers of elements."""
    return np.array([len(composition) for composition in crystals.compositions], dtype=float)


if __name__ == "__main__":
    main(*sys.argv[1:])
