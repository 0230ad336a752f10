"""Facts about a crystal in words, below every drawing in pages and widgets."""

from __future__ import annotations

import math

from flowllm.metrics.facts import CrystalFacts
from flowllm.symmetry.symbols import typeset_symbol


def facts_in_words(facts: CrystalFacts) -> list[tuple[str, str]]:
    """Names and values: space group, cell, density, volume, shortest contact, validity."""
    lengths = " ".join(f"{x:.2f}" for x in facts.lengths)
    angles = " ".join(f"{x:.1f}" for x in facts.angles)
    said = [
        ("space group", group_in_words(facts.space_group)),
        ("cell", f"{lengths} Å, {angles} °"),
        ("atoms", f"{facts.num_atoms} in the primitive cell"),
        ("density", f"{facts.density:.2f} g/cm³"),
        ("volume", f"{facts.volume_per_atom:.1f} Å³ per atom"),
        ("shortest contact", contact_in_words(facts)),
        ("charges", "can balance (SMACT)" if facts.charge_balanced else "cannot balance (SMACT)"),
    ]
    return [("fault", facts.fault), *said] if facts.fault else said


def group_in_words(number: int) -> str:
    """Symbol and number of a space group, as in "P6₃/mmc (194)"; 0 is none."""
    return f"{typeset_symbol(number)} ({number})" if number else "none found"


def contact_in_words(facts: CrystalFacts) -> str:
    """The shortest contact over radii, with an assessment."""
    if not math.isfinite(facts.contact):
        return "none within 5 Å" if math.isinf(facts.contact) else "–"
    share = f"{facts.contact:.2f} of the covalent radii"
    return f"{share}, nearer than in known crystals" if not facts.believable else share
