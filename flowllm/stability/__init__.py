"""Stable, unique, novel: energies above the hull, groups of equal crystals, what is known."""

from flowllm.stability.convert import convert_hull
from flowllm.stability.grouping import Groups, group_crystals
from flowllm.stability.hull_build import build_hull_table, hull_agreement
from flowllm.stability.hull_table import HullProvenance, HullTable, load_hull
from flowllm.stability.index import NoveltyIndex, load_novelty_index
from flowllm.stability.novelty import Novelty, novelty
from flowllm.stability.reference_energies import ElementalReferences
from flowllm.stability.sun import THRESHOLDS, SunRates, is_stable, sun_rates

__all__ = [
    "THRESHOLDS",
    "ElementalReferences",
    "Groups",
    "HullProvenance",
    "HullTable",
    "Novelty",
    "NoveltyIndex",
    "SunRates",
    "build_hull_table",
    "convert_hull",
    "group_crystals",
    "hull_agreement",
    "is_stable",
    "load_hull",
    "load_novelty_index",
    "novelty",
    "sun_rates",
]
