"""The commands: one typed function each, a thin call into the package.

The command line makes its options of their arguments and docstrings, so nothing heavy is imported
before a command runs.
"""

from __future__ import annotations

from collections.abc import Callable

from flowllm.commands.crystals import generate, refine
from flowllm.commands.data import data
from flowllm.commands.evaluation import adherence, evaluate, export, hull, reference
from flowllm.commands.language import infill, score
from flowllm.commands.models import bench, combine, measure
from flowllm.commands.training import merge_lm, pair, train_flow, train_lm

COMMANDS: dict[str, Callable[..., None]] = {
    "generate": generate,
    "refine": refine,
    "evaluate": evaluate,
    "adherence": adherence,
    "score": score,
    "infill": infill,
    "export": export,
    "data": data,
    "train-lm": train_lm,
    "merge-lm": merge_lm,
    "pair": pair,
    "train-flow": train_flow,
    "combine": combine,
    "measure": measure,
    "bench": bench,
    "reference": reference,
    "hull": hull,
}
"""Name on the command line -> function."""
