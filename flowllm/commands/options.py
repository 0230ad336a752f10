"""What the commands share: types of options, loading a model, the table of stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    from flowllm.systems.generation import Stage
    from flowllm.systems.system import FlowLLM

Device = Literal["auto", "cpu", "cuda", "mps"]
PriorKind = Literal["language-model", "types", "substitution", "compositions"]
Solver = Literal["euler", "midpoint", "rk4"]
Files = tyro.conf.Positional[list[Path]]
Source = tyro.conf.Positional[str]
Input = tyro.conf.Positional[Path]


def load_system(model: str, device: str) -> FlowLLM:
    """A model from a folder or by its name, with a sign of life while it loads."""
    from flowllm.runs.progress import waiting

    with waiting("loading the model"):
        from flowllm.systems.system import FlowLLM

        return FlowLLM.from_pretrained(model, device)


def print_stages(stages: Sequence[Stage], out: Path) -> None:
    """What each stage did, and where the report is."""
    from rich.console import Console
    from rich.table import Table

    shown = Table("stage", "crystals", "rejected", "seconds")
    for stage in stages:
        shown.add_row(stage.name, str(stage.crystals), str(stage.rejected), f"{stage.seconds:.1f}")
    console = Console()
    console.print(shown)
    console.print(f"open {out / 'report.html'}", soft_wrap=True)
