"""From crystals to templates: each by its symmetry, in canonical description."""

from __future__ import annotations

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.templates.table import TemplateTable
from flowllm.parallel.map import Failure, map_crystals
from flowllm.runs.progress import ItemProgress
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.find import find_symmetry
from flowllm.symmetry.normalizer import canonical

CHUNK = 64


def build_table(
    crystals: CrystalBatch, workers: int | None = None, progress: ItemProgress | None = None
) -> TemplateTable:
    """The table of all crystals with a space group; for MP-20's training split, all of them.

    Args:
        crystals: of whole species.
        workers: processes; None takes one for each core.
        progress: called with (crystals done, crystals in all).

    Raises:
        InputError: there is none.
    """
    found = map_crystals(
        described, list(crystals), None, workers, progress, CHUNK, crystals.ids.tolist()
    )
    kept = [crystal for crystal in found if not isinstance(crystal, Failure)]
    if not kept:
        raise InputError("no space group was found in any of the crystals")
    return TemplateTable.build(kept)


def described(crystal: CrystalBatch) -> SymmetricCrystal:
    """The canonical description of a batch of one."""
    return canonical(find_symmetry(crystal))
