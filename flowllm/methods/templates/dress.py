"""A template with other elements, in a cell of their volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flowllm.methods.templates.ranking import Candidate
from flowllm.methods.templates.table import TemplateTable
from flowllm.symmetry.crystal import SymmetricCrystal


def dressed(table: TemplateTable, candidate: Candidate) -> SymmetricCrystal:
    """The crystal of a candidate; not in its canonical description, which depends on the elements.

    Its space group, positions and coordinates are the template's, its cell has the shape of the
    template's and the volume expected.
    """
    template = table.crystal(candidate.row)
    stretch = (candidate.volume / table.volume(candidate.row)) ** (1 / 3)
    elements = np.array([candidate.exchange[z] for z in template.elements.tolist()])
    return replace(template, elements=elements, lengths=template.lengths * stretch)
