"""Base distributions other than the language model, as starting points of a refiner."""

from flowllm.methods.base.geometry import Geometry, SimpleBase, Substitution
from flowllm.methods.base.prior import BasePrior
from flowllm.methods.base.species import SpeciesSource, TrainingSpecies, WrittenSpecies

__all__ = [
    "BasePrior",
    "Geometry",
    "SimpleBase",
    "SpeciesSource",
    "Substitution",
    "TrainingSpecies",
    "WrittenSpecies",
]
