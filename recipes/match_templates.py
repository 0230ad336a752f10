"""Structure prediction by templates of other formulas: match rate and RMSE of one and more tries.

    python -m recipes.match_templates [--split val] [--rows 1000] [--tries 1]

Rows are random ones (seed 0). Printed are the rates of `flowllm.metrics.prediction`, by number of
atoms and by crystal system, and how far the volumes of what matches are off.
"""

from __future__ import annotations

import argparse

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.load import load_dataset
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.metrics.group_relations import CRYSTAL_SYSTEMS, crystal_systems
from flowllm.metrics.prediction import score_predictions
from flowllm.systems.system import FlowLLM

SIZES = ((1, 4), (5, 8), (9, 12), (13, 16), (17, 20))


def main() -> None:
    """Predict, match, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="val")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--tries", type=int, default=1)
    chosen = parser.parse_args()
    prior = FlowLLM.from_pretrained("mp20-templates", "cpu").prior
    assert isinstance(prior, TemplatePrior)
    data = load_dataset("mp_20", chosen.split)
    data = data[np.sort(np.random.default_rng(0).permutation(len(data))[: chosen.rows])]
    truth, made, target = data.crystals, [], []
    for place, composition in enumerate(truth.compositions):
        found = prior.candidates(composition, chosen.tries, same_formula=False)
        made += [one.to_primitive(f"{place}-{k}") for k, one in enumerate(found)]
        target += [place] * len(found)
    predictions, of = CrystalBatch.concatenate(made), np.array(target)
    result = score_predictions(predictions, truth, of)
    for name, value in result.table(chosen.tries):
        print(f"{name}: {value}")
    first = result.best_of(1).matched
    any_try = result.best_of(chosen.tries).matched
    systems = crystal_systems(data.properties["space_group"].astype(int)) - 1
    groups = {f"{low}-{high} atoms": (truth.num_atoms >= low) & (truth.num_atoms <= high)
              for low, high in SIZES}  # fmt: skip
    groups |= {name: systems == k for k, name in enumerate(CRYSTAL_SYSTEMS)}
    for name, rows in groups.items():
        print(f"{name}: {rows.sum()}, {first[rows].mean():.1%}, any {any_try[rows].mean():.1%}")
    matched = (result.attempt == 0) & np.isfinite(result.rms)
    errors = np.abs(np.log(predictions.volumes[matched] / truth.volumes[of[matched]]))
    print(f"volumes off by over 5 %: {(errors > 0.05).mean():.1%}, median {np.median(errors):.1%}")


if __name__ == "__main__":
    main()
