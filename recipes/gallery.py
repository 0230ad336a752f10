"""The gallery of the site: the first crystals of every system that ships, good and bad alike.

Usage: python -m recipes.gallery             # draw, relax and store: some minutes of one core
       python -m recipes.gallery --energies  # only relax what is stored
       python -m recipes.gallery --tables    # the tables of docs/gallery.md from what is stored

The rule: crystals 1 to 6 of seed 0 of each system, with its defaults and nothing asked; none is
left out. `docs/assets/gallery.npz` holds their frames, `gallery.json` beside it their energies
above the hull, before and after relaxation. `make docs` makes the page with the 3-D views of both.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from flowllm.crystals.trajectory import Trajectory
from flowllm.metrics.facts import CrystalFacts, crystal_facts
from flowllm.stability.neighbours import neighbours_of
from flowllm.symmetry.symbols import typeset_symbol
from flowllm.systems.recipes import SYSTEMS
from flowllm.systems.record import DEFAULT_MODEL, shipped_models
from flowllm.viz.run_page import Neighbour, write_report
from recipes.gallery_energies import load, save
from recipes.gallery_energies import measure as measure_energies

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "docs" / "assets"
FRAMES_FILE, ENERGIES_FILE = ASSETS / "gallery.npz", ASSETS / "gallery.json"
PAGE = ROOT / "docs" / "gallery.md"
CRYSTALS = "gallery_crystals.html"
"""The page with the 3-D views, beside the gallery's own."""
COLUMNS = (
    "formula", "space group", "atoms", "E_hull", "relaxed", "drop", "nearest known", "failures",
)  # fmt: skip
NUM, SEED, FRAMES = 6, 0, 9
FAR = 0.5
"""eV/atom above the hull, not relaxed: a crystal beyond is marked."""


def models() -> dict[str, str]:
    """What ships and its recipe: the default first, then in the order of the recipes."""
    order = list(SYSTEMS)
    shipped = sorted(
        shipped_models().items(), key=lambda one: (one[0] != DEFAULT_MODEL, order.index(one[1]))
    )
    return dict(shipped)


# ---- drawn once ----------------------------------------------------------------------------------


def drawn(model: str) -> Trajectory:
    """The first crystals of a system, with a few frames of their way."""
    from flowllm import FlowLLM

    system = FlowLLM.from_pretrained(model, "cpu")
    settings = None if system.refiner is None else system.refiner.Settings(record=True)
    whole = system.generate(NUM, seed=SEED, refinement=settings).trajectory
    frames = [whole.frame(i) for i in np.linspace(0, len(whole) - 1, FRAMES).round().astype(int)]
    kept = Trajectory.from_frames(np.linspace(0, 1, FRAMES), frames)
    return replace(kept, ids=np.array([f"{model}-{i + 1}" for i in range(NUM)]))


def measure() -> None:
    """Draw the crystals of every system and store their frames."""
    parts = []
    for model in models():
        parts.append(drawn(model))
        print(model, *parts[-1].last.formulas, flush=True)
    ASSETS.mkdir(exist_ok=True)
    Trajectory.concatenate(parts).save(FRAMES_FILE)


def evaluate_energies() -> None:
    """Store the energies of each crystal, as it came out and relaxed."""
    crystals = Trajectory.load(FRAMES_FILE).last
    save(ENERGIES_FILE, measure_energies(crystals, crystal_facts(crystals)))


# ---- pages ---------------------------------------------------------------------------------------


def faults(facts: CrystalFacts, above: float | None) -> list[str]:
    """What is wrong with a crystal, in words."""
    found = [facts.fault] if facts.fault else []
    if not facts.fault and facts.contact < 0.7:
        found.append(f"a contact of {facts.contact:.2f} of the radii")
    elif not facts.fault and facts.unusual:
        found.append("a contact shorter than in known crystals")
    if not facts.charge_balanced:
        found.append("charges do not balance")
    if facts.space_group <= 1:
        found.append("no symmetry")
    if above is None:
        found.append("no energy")
    elif above > FAR:
        found.append(f"over {FAR:g} eV/atom above the hull")
    return found


def tables() -> str:
    """A table for each system, as Markdown."""
    trajectory = Trajectory.load(FRAMES_FILE)
    energies = load(ENERGIES_FILE)
    facts = crystal_facts(trajectory.last)
    nearest = neighbours_of(trajectory.last, facts, range(len(facts)))
    parts = []
    for model, recipe in models().items():
        parts += [f"## {model}", "", f"`flowllm generate --model {model}`, recipe `{recipe}`.", ""]
        parts += [
            f"| | {' | '.join(COLUMNS)} |",
            "|---" * (len(COLUMNS) + 1) + "|",
        ]
        for place, name in enumerate(map(str, trajectory.ids)):
            if name.rsplit("-", 1)[0] != model:
                continue
            one, known = facts[place], nearest.get(place)
            wrong = faults(one, energies[name].above)
            symbol = typeset_symbol(one.space_group) if one.space_group else "–"
            parts.append(
                f"| {name.rsplit('-', 1)[1]} | {one.formula} | {symbol} "
                f"| {one.num_atoms} | {energies[name].cells} "
                f"| {known.short if known else 'none of its kind'} "
                f"| {'**' + '; '.join(wrong) + '**' if wrong else ''} |"
            )
        parts.append("")
    return "\n".join(parts)


def write_tables() -> None:
    """Put the tables into the gallery's page, below its introduction."""
    text = PAGE.read_text("utf-8")
    head = re.split(r"(?m)^## ", text)[0].rstrip()
    PAGE.write_text(f"{head}\n\n{tables()}", "utf-8")


def write_page(path: Path) -> None:
    """The page with every crystal in 3-D, playing from the prior to the refined crystal."""
    trajectory = Trajectory.load(FRAMES_FILE)
    energies = load(ENERGIES_FILE)
    last, names = trajectory.last, list(map(str, trajectory.ids))
    facts = crystal_facts(last)
    known = neighbours_of(last, facts, range(len(facts)))
    beside = {}
    for place, name in enumerate(names):
        near = known.get(place, Neighbour("", "None of its formula is known."))
        text = f"{near.text} {energies[name].text}"
        beside[place] = replace(near, text=text)
    rows = [
        {
            "id": name,
            "formula": one.formula,
            "prompt": "; ".join(faults(one, energies[name].above)),
            "valid_structure": not one.fault,
            "valid_composition": one.charge_balanced,
        }
        for name, one in zip(names, facts, strict=True)
    ]
    write_report(
        path,
        title="Gallery",
        prior=trajectory.first,
        refined=last,
        rows=rows,
        stages=[],
        settings={"crystals of each system": NUM, "seed": SEED},
        trajectories=trajectory,
        facts=facts,
        nearest=beside,
    )


def main() -> None:
    """Read the command line; draw and evaluate, or only write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--energies", action="store_true", help="relax what is stored")
    only.add_argument("--tables", action="store_true", help="from what is stored")
    arguments = parser.parse_args()
    if not (arguments.energies or arguments.tables):
        measure()
    if not arguments.tables:
        evaluate_energies()
    write_tables()


if __name__ == "__main__":
    main()
