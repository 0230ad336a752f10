"""MP-20 and your own crystals: read, made unique, checked and cached as arrays."""

from flowllm.data.at_hand import mp20_or_textbook
from flowllm.data.dataset import CrystalSet
from flowllm.data.load import load_dataset
from flowllm.data.prepare import prepare
from flowllm.data.reduce import ReduceSettings, reduce_cif, reduce_structure
from flowllm.data.textbook import textbook_structures

__all__ = [
    "CrystalSet",
    "ReduceSettings",
    "load_dataset",
    "mp20_or_textbook",
    "prepare",
    "reduce_cif",
    "reduce_structure",
    "textbook_structures",
]
