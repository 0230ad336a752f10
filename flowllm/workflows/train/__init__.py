"""The stages of training on disk: language model, pairs, flow, and both joined into a system.

Each stage reads the folder of the one before it, writes its own, and goes on where it stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.workflows.train.flow import train_on_pairs
    from flowllm.workflows.train.language_model import train_compact
    from flowllm.workflows.train.package import combine
    from flowllm.workflows.train.pairs import make_pairs
    from flowllm.workflows.train.settings import LanguageModelSettings, PairSettings
    from flowllm.workflows.train.splits import num_atoms_histogram, training_splits

_MODULES = {
    "LanguageModelSettings": ".settings",
    "PairSettings": ".settings",
    "combine": ".package",
    "make_pairs": ".pairs",
    "num_atoms_histogram": ".splits",
    "train_compact": ".language_model",
    "train_on_pairs": ".flow",
    "training_splits": ".splits",
}
__all__ = [
    "LanguageModelSettings",
    "PairSettings",
    "combine",
    "make_pairs",
    "num_atoms_histogram",
    "train_compact",
    "train_on_pairs",
    "training_splits",
]

__getattr__, __dir__ = exports(__name__, _MODULES)
