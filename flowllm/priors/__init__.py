"""Base distributions beside the language model: what the flow starts from can be exchanged.

Each is a prior as `flowllm.model.Prior` asks for: prompts in, at most one crystal for each out.
"""

from flowllm.priors.geometry import Geometry, SimpleBase, Substitution
from flowllm.priors.store import KINDS, load_prior, make_prior, save_prior
from flowllm.priors.typed import CompositionSource, TypedPrior, Types, WrittenTypes

__all__ = [
    "KINDS",
    "CompositionSource",
    "Geometry",
    "SimpleBase",
    "Substitution",
    "TypedPrior",
    "Types",
    "WrittenTypes",
    "load_prior",
    "make_prior",
    "save_prior",
]
