"""Stable, unique, novel: energies above the hull, groups of equal crystals, known crystals."""

from flowllm.stability.agreement import height_agreement, hull_agreement
from flowllm.stability.anions import AnionShift, anion_classes, chgnet_shift
from flowllm.stability.convert import convert_hull
from flowllm.stability.grouping import Groups, group_crystals
from flowllm.stability.hull_build import build_hull_table
from flowllm.stability.hull_table import HullProvenance, HullTable, load_hull
from flowllm.stability.novelty import Novelty, novelty
from flowllm.stability.reference_energies import ElementalReferences
from flowllm.stability.sun import THRESHOLDS, SunRates, is_stable, sun_rates

__all__ = [
    "THRESHOLDS",
    "AnionShift",
    "ElementalReferences",
    "Groups",
    "HullProvenance",
    "HullTable",
    "Novelty",
    "SunRates",
    "anion_classes",
    "build_hull_table",
    "chgnet_shift",
    "convert_hull",
    "group_crystals",
    "height_agreement",
    "hull_agreement",
    "is_stable",
    "load_hull",
    "novelty",
    "sun_rates",
]
