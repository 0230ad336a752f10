"""What each part of the symmetric system is worth: structures of known compositions, part by part.

    python -m recipes.compare_parts [--split val] [--rows 400] [--relax 100] [--flow NAME=FOLDER]

Compositions of MP-20 are given to the language model, to the templates (none of the composition's
own formula) and to both, as `--for predict` does; their crystals are left as they are, refined by
the paper's flow (that of mp20-compact) and by the equivariant one, and by those of FOLDER. Printed
for each: match rate and RMSE against the true crystal, the share whose space group at symprec 0.01
is that of the prior's crystal, and of the first rows, relaxed by CHGNet, mean and median energy
drop, changes of volume over 5 %, and how many match their relaxed state.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.load import load_dataset
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.methods.templates.settings import RankedSettings, TemplateSettings
from flowllm.metrics.symmetry import space_groups
from flowllm.relax import relax
from flowllm.systems.protocols import Prior, Refiner
from flowllm.systems.system import FlowLLM

TOLERANCES = {"stol": 0.5, "angle_tol": 10, "ltol": 0.3}


def main() -> None:
    """Draw, refine, relax, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="val")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--relax", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="mp20-symmetric")
    parser.add_argument("--flow", action="append", default=[], help="a further one: NAME=FOLDER")
    chosen = parser.parse_args()
    system = FlowLLM.from_pretrained(chosen.model, "cpu")
    assert isinstance(system.prior, RankedPrior)
    whole = load_dataset("mp_20", chosen.split)
    rows = np.sort(np.random.default_rng(0).permutation(len(whole))[: chosen.rows])
    truth = whole.crystals[rows]
    refiners: dict[str, Refiner | None] = {
        "no flow": None,
        "CSPNet": FlowLLM.from_pretrained("mp20-compact", "cpu").refiner,
        "equivariant": system.refiner,
    }
    for named in chosen.flow:
        name, _, folder = named.partition("=")
        refiners[name] = EquivariantRefiner.load(Path(folder))
    predict = RankedSettings.predict()
    priors: dict[str, tuple[Prior, object]] = {
        "language model": (system.prior.language_model, SamplingSettings.predict()),
        "templates": (system.prior.templates, TemplateSettings(choice=0.0, same_formula=False)),
        "both": (system.prior, RankedSettings(**{**vars(predict), "same_formula": False})),
    }
    asked = [Conditions(composition=composition) for composition in truth.compositions]
    seeds = [chosen.seed * len(asked) + k for k in range(len(asked))]
    print("prior, flow: match, RMSE; group kept; drop mean, median; volume over 5 %; relaxed match")
    for name, (prior, settings) in priors.items():
        drawn = prior.sample(asked, settings, seeds)
        groups = space_groups(drawn, 0.01)
        for flow, refiner in refiners.items():
            made = drawn if refiner is None else refiner.refine(drawn, None, seeds).last
            rms = rms_of(made, truth)
            kept = float((space_groups(made, 0.01) == groups).mean())
            line = f"{np.isfinite(rms).mean():.1%}, {np.nanmean(rms):.4f}; {kept:.1%}"
            if chosen.relax:
                line += "; " + _relaxed(made[: chosen.relax])
            print(f"{name}, {flow}: {line}", flush=True)


def rms_of(made: CrystalBatch, truth: CrystalBatch) -> np.ndarray:
    """(B,) rms of the crystal for each true one; NaN where it does not match or there is none."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(**TOLERANCES)
    found = np.full(len(truth), np.nan)
    known = truth.to_pymatgen()
    for place, structure in zip(made.ids.astype(int).tolist(), made.to_pymatgen(), strict=True):
        match = matcher.get_rms_dist(structure, known[place])
        found[place] = np.nan if match is None else match[0]
    return found


def _relaxed(crystals: CrystalBatch) -> str:
    """Energy drop, change of volume and match of relaxation, as text."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher, done = StructureMatcher(**TOLERANCES), relax(crystals)
    drop = done.initial_energies - done.energies
    volume = np.abs(done.crystals.volumes / crystals.volumes - 1)
    pairs = zip(crystals.to_pymatgen(), done.crystals.to_pymatgen(), strict=True)
    same = np.mean([matcher.get_rms_dist(*pair) is not None for pair in pairs])
    return (
        f"{np.nanmean(drop):.4f}, {np.nanmedian(drop):.4f}; {np.mean(volume > 0.05):.1%}; "
        f"{same:.1%}"
    )


if __name__ == "__main__":
    main()
