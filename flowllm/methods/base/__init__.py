"""Base distributions beside the language model: what the flow starts from can be exchanged.

Each is a prior of `flowllm.systems.generation`: at most one crystal for each prompt.
"""

from flowllm.methods.base.geometry import Geometry, SimpleBase, Substitution
from flowllm.methods.base.prior import CompositionSource, TypedPrior, Types, WrittenTypes

__all__ = [
    "CompositionSource",
    "Geometry",
    "SimpleBase",
    "Substitution",
    "TypedPrior",
    "Types",
    "WrittenTypes",
]
