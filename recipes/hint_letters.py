"""Template letters as a hint: the language model writes cell and coordinates of a known structure.

    python -m recipes.hint_letters [--rows 400] [--temperature 0.3]

For random rows of MP-20's validation split the structure with the most votes of templates of other
formulas gives the space group and the letters of all orbits. The language model of mp20-symmetric
reads them as the beginning of its text and writes cell and free coordinates behind it. Printed are
match rate and RMSE of the template's own cell and coordinates, of the language model alone, and of
the language model with the hint, without a flow and with the equivariant one.
"""

from __future__ import annotations

import argparse

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.data.load import load_dataset
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.rules import rule_for
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.language_model.structure_likelihood import structure_of
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.systems.system import FlowLLM
from flowllm.text.prompts import prompt_of
from recipes.compare_parts import rms_of


def main() -> None:
    """Draw, refine, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--temperature", type=float, default=0.3)
    chosen = parser.parse_args()
    system = FlowLLM.from_pretrained("mp20-symmetric", "cpu")
    assert isinstance(system.prior, RankedPrior) and system.refiner is not None
    model, templates = system.prior.language_model, system.prior.templates
    whole = load_dataset("mp_20", "val").crystals
    truth = whole[np.random.default_rng(7).choice(len(whole), chosen.rows, replace=False)]
    first = [templates.candidates(cell, 1, same_formula=False) for cell in truth.compositions]
    known = {place: found[0] for place, found in enumerate(first) if found}
    settings = SamplingSettings(temperature=chosen.temperature, top_p=1.0)
    asked = [Conditions(composition=truth.compositions[place]) for place in known]
    alone = model.sample(asked, settings, list(known))
    places = np.array([str(place) for place in known])
    made = {
        "template": CrystalBatch.concatenate(c.to_primitive(str(k)) for k, c in known.items()),
        "language model": alone.replace(ids=places[alone.ids.astype(int)]),
        "letters as a hint": hinted(model, known, asked, settings),
    }
    print(f"{len(known)} of {len(truth)} rows have a template; the rest count as not matched")
    for flow in ("no flow", "equivariant"):
        errors = {}
        for name, crystals in made.items():
            ids = crystals.ids.astype(int).tolist()
            if flow != "no flow":
                crystals = system.refiner.refine(crystals, None, ids).last
            errors[name] = rms = rms_of(crystals, truth)
            line = f"{np.isfinite(rms).mean():.1%}, RMSE {np.nanmean(rms):.4f}"
            print(f"{flow}, {name}: {len(crystals)} crystals, {line}", flush=True)
        both = np.isfinite(list(errors.values())).all(0)
        means = ", ".join(f"{name} {rms[both].mean():.4f}" for name, rms in errors.items())
        print(f"{flow}, the {both.sum()} rows that all match: RMSE {means}", flush=True)


def hinted(
    model: LanguageModelPrior,
    known: dict[int, SymmetricCrystal],
    asked: list[Conditions],
    settings: SamplingSettings,
) -> CrystalBatch:
    """Crystals with space groups and letters of known ones, cell and coordinates being written."""
    beginnings = [structure_of(crystal) for crystal in known.values()]
    stated = [
        model.read(Conditions(composition=each.composition, space_group=crystal.number))
        for each, crystal in zip(asked, known.values(), strict=True)
    ]
    rules = [rule_for(each, model.format.max_atoms, model.pool) for each in stated]
    states = model.format.states(model.tokenizer, stated, rules, settings.overlap)
    for state, beginning in zip(states, beginnings, strict=True):
        for token in model.tokenizer(beginning, add_special_tokens=False)["input_ids"]:
            assert token in state.allowed()
            state.advance(token)
    prompts = [prompt_of(a) + b for a, b in zip(stated, beginnings, strict=True)]
    texts = decode(model.model, model.tokenizer, prompts, settings, list(known), states)
    pairs = zip(known, beginnings, texts, strict=True)
    return CrystalBatch.concatenate(
        model.format.parse_text(start + text, str(k))
        for k, start, text in pairs
        if text is not None
    )


if __name__ == "__main__":
    main()
