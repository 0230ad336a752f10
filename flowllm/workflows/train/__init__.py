"""The stages of training on disk: language model, pairs, flow, and both joined into a system.

Each stage reads the folder of the one before it, writes its own, and goes on where it stopped.
"""

from flowllm.workflows.train.flow import train_on_pairs
from flowllm.workflows.train.language_model import train_compact
from flowllm.workflows.train.package import combine
from flowllm.workflows.train.pairs import PairSettings, make_pairs
from flowllm.workflows.train.splits import num_atoms_histogram, training_splits

__all__ = [
    "PairSettings",
    "combine",
    "make_pairs",
    "num_atoms_histogram",
    "train_compact",
    "train_on_pairs",
    "training_splits",
]
