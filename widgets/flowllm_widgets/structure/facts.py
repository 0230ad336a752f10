"""Facts about a crystal, as HTML below its picture."""

from __future__ import annotations

import html

from flowllm.metrics.facts import CrystalFacts
from flowllm.viz.facts import contact_in_words, facts_in_words


def describe(facts: CrystalFacts | None) -> str:
    """Facts as HTML; empty for None."""
    if facts is None:
        return '<div class="flowllm-caption">not yet</div>'
    charges = "valid" if facts.charge_balanced else "charges do not balance"
    contact = "as in known crystals" if facts.believable else contact_in_words(facts)
    flags = [
        ("structure", not facts.fault, facts.fault or "valid"),
        ("contacts", facts.believable, contact),
        ("composition", facts.charge_balanced, charges),
    ]
    words = " · ".join(
        f'<span class="flowllm-message {"" if good else "error"}">'
        f"{'✓' if good else '✗'} {name}: {html.escape(text)}</span>"
        for name, good, text in flags
    )
    said = dict(facts_in_words(facts))
    return (
        f'<div class="flowllm-caption"><b>{html.escape(facts.formula or "?")}</b>, '
        f"{facts.num_atoms} atoms, {html.escape(said['space group'])}, "
        f"{html.escape(said['cell'])}, {said['density']}, {said['volume']}<br>{words}</div>"
    )
