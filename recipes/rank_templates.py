"""Choose the weight of a language model's likelihood beside the votes of templates, on validation.

    python -m recipes.rank_templates LM [--rows 200] [--templates mp20-templates]

LM is the folder of a compact language model of the text format wyckoff. For random rows of MP-20's
validation split five structures of templates of other formulas and one of a text are proposed.
Printed is how often the one with the highest score matches, by weight, and the ceiling.
"""

from __future__ import annotations

import argparse

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.load import load_dataset
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.templates.prior import TemplatePrior
from flowllm.methods.templates.ranked import Proposal, RankedPrior
from flowllm.methods.templates.settings import RankedSettings
from flowllm.systems.system import FlowLLM

WEIGHTS = (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
TOLERANCES = {"stol": 0.5, "angle_tol": 10, "ltol": 0.3}
CANDIDATES = 5


def main() -> None:
    """Propose, match, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lm")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--templates", default="mp20-templates")
    chosen = parser.parse_args()
    templates = FlowLLM.from_pretrained(chosen.templates, "cpu").prior
    assert isinstance(templates, TemplatePrior)
    prior = RankedPrior(LanguageModelPrior.from_pretrained(chosen.lm), templates)
    truth = load_dataset("mp_20", "val").crystals
    truth = truth[np.sort(np.random.default_rng(1).permutation(len(truth))[: chosen.rows])]
    asked = [Conditions(composition=composition) for composition in truth.compositions]
    settings = RankedSettings(candidates=CANDIDATES, same_formula=False, likelihood=0.0)
    proposals = prior.proposer.propose(asked, settings, range(len(asked)))
    votes = [np.array([each.log_share for each in own]) for own in proposals]
    whole = prior.scores(asked, proposals, RankedSettings(likelihood=1.0))
    rms = [_rms(own, truth[k]) for k, own in enumerate(proposals)]
    written = [[each.written for each in own] for own in proposals]
    texts = np.concatenate(
        [found[np.array(w, bool)] for found, w in zip(rms, written, strict=True)]
    )
    print(f"texts that no template proposes: {len(texts)}, {np.isfinite(texts).mean():.1%} match")
    print(f"any proposal matches: {np.mean([np.isfinite(found).any() for found in rms]):.1%}")
    for weight in WEIGHTS:
        best = np.array([
            found[np.argmax(vote + weight * (both - vote))] if len(found) else np.nan
            for found, vote, both in zip(rms, votes, whole, strict=True)
        ])  # fmt: skip
        print(f"weight {weight}: {np.isfinite(best).mean():.1%}, RMSE {np.nanmean(best):.4f}")


def _rms(proposals: list[Proposal], truth: CrystalBatch) -> np.ndarray:
    """(m,) rms of the proposals for one crystal; NaN where one does not match."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher, structure = StructureMatcher(**TOLERANCES), truth.to_pymatgen()[0]
    found = [
        matcher.get_rms_dist(each.crystal.to_primitive().to_pymatgen()[0], structure)
        for each in proposals
    ]
    return np.array([np.nan if one is None else one[0] for one in found])


if __name__ == "__main__":
    main()
