"""Metadata of an evaluation stage, before it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowllm.errors import InputError

if TYPE_CHECKING:
    from flowllm.evaluation.stages.base import StageResult, Work


@dataclass(frozen=True)
class EvaluationStage:
    """A stage, light enough for the command line: its code is imported when it runs.

    Attributes:
        name: as in "coverage".
        function: "module:name" of the function that computes it, from `Work` to `StageResult`.
        needs: stages whose results it reads; they run with it.
        columns: what it adds to the table of crystals, in their order.
        flags: which of the columns are true, false, or empty where it did not run.
        tiles: which of its figures stand large at the top of the page.
        rates: which stand beside each other in the chart of rates.
        on_request: why it runs only when asked for; empty for a stage that always runs.
        columns_before: the stage before whose columns its own stand, where that is not the order of
            the stages.

    Raises:
        InputError: a flag that is not a column.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    tiles: tuple[str, ...] = ()
    rates: tuple[str, ...] = ()
    on_request: str = ""
    columns_before: str = ""

    def __post_init__(self) -> None:
        for flag in sorted(set(self.flags) - set(self.columns)):
            raise InputError(f"the flag {flag!r} is not a column of the stage {self.name}")

    def load(self) -> Callable[[Work], StageResult]:
        """The function that computes it."""
        module, _, name = self.function.partition(":")
        function: Callable[[Work], StageResult] = getattr(importlib.import_module(module), name)
        return function

    def run(self, work: Work) -> StageResult:
        """Compute it."""
        return self.load()(work)
