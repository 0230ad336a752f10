"""Relaxation of crystals with CHGNet, many at once.

`relax(crystals)` gives a `Relaxation`: the relaxed crystals in the order of the input, energies
before and after, steps, and a reason for each that did not converge. `closeness` compares the
crystals before and after.
"""

from flowllm.relax.closeness import Closeness, closeness
from flowllm.relax.potential import ChgnetPotential, Potential, PotentialResult, evaluate
from flowllm.relax.record import RelaxationPath
from flowllm.relax.relaxation import Relaxation, relax
from flowllm.relax.settings import RelaxSettings

__all__ = [
    "ChgnetPotential",
    "Closeness",
    "Potential",
    "PotentialResult",
    "RelaxSettings",
    "Relaxation",
    "RelaxationPath",
    "closeness",
    "evaluate",
    "relax",
]
