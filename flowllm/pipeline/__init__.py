"""The stages of training on disk: language model, pairs, flow, and both joined into a system.

Each stage reads the folder of the one before it, writes its own, and goes on where it stopped.
"""

from flowllm.pipeline.flow import train_on_pairs
from flowllm.pipeline.language_model import train_compact
from flowllm.pipeline.pairs import PairSettings, composition_prompt, make_pairs
from flowllm.pipeline.splits import num_atoms_histogram, training_splits
from flowllm.pipeline.system import combine

__all__ = [
    "PairSettings",
    "combine",
    "composition_prompt",
    "make_pairs",
    "num_atoms_histogram",
    "train_compact",
    "train_on_pairs",
    "training_splits",
]
