"""MP-20 and your own crystals: read, made unique, checked and cached as arrays."""

from flowllm.data.dataset import CrystalSet
from flowllm.data.load import load_dataset
from flowllm.data.prepare import prepare
from flowllm.data.reduce import ReduceSettings, reduce_cif, reduce_structure

__all__ = [
    "CrystalSet",
    "ReduceSettings",
    "load_dataset",
    "prepare",
    "reduce_cif",
    "reduce_structure",
]
