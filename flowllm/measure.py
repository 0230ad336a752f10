"""The figures of a model card: generation and crystal structure prediction, before and after."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.checkpoint import RunFolder, write_json
from flowllm.crystal import CrystalBatch
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.flow.refine import RefineSettings
from flowllm.generate import GenerateSettings, generate_run
from flowllm.lm.decode import SamplingSettings
from flowllm.metrics.matching import MatchResult, match
from flowllm.metrics.summary import summarise
from flowllm.model import FlowLLM, Progress
from flowllm.text.prompts import Conditions, build_prompt
from flowllm.text.request import Request


@dataclass(frozen=True)
class MeasureSettings:
    """What is measured.

    Attributes:
        model: a folder with weights, or the name of a model that ships with the package.
        data: the data whose training and test splits count.
        num: unconditional crystals.
        num_match: test crystals whose composition is given; 0 leaves them out.
        sampling: how the language model draws.
        refinement: how the flow is integrated.
        seed: of everything random, and of the choice of test crystals.
    """

    model: str = "mp20-compact"
    data: str = "mp_20"
    num: int = 1000
    num_match: int = 500
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    refinement: RefineSettings = field(default_factory=RefineSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num < 1 or self.num_match < 0:
            raise InputError("num must be at least 1 and num_match at least 0")


def measure_model(
    settings: MeasureSettings,
    out: Path,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Generate, refine, match and summarise; everything is kept in `out`.

    Returns:
        Rows (figure, prior, refined), and seconds, rejections and peak memory.
    """
    training = set(load_dataset(settings.data, "train").crystals.formulas)
    test = load_dataset(settings.data, "test").crystals
    system = FlowLLM.from_pretrained(settings.model, device)
    with RunFolder.open(out, "measure", asdict(settings), overwrite) as run:
        began = time.perf_counter()
        generation = generate_run(
            system,
            GenerateSettings(
                settings.num, Request(), settings.sampling, settings.refinement, settings.seed
            ),
            out / "unconditional",
            model_name=settings.model,
            progress=progress,
        )
        seconds = time.perf_counter() - began
        tables = [
            summarise(crystals, training).table()
            for crystals in (generation.prior, generation.refined)
        ]
        figures: dict[str, Any] = {
            "unconditional": _joined(*tables),
            "stages": [asdict(stage) for stage in generation.stages],
            "seconds_with_files": seconds,
            "peak_memory_mb": peak_memory_mb(),
        }
        if settings.num_match:
            chosen = np.random.default_rng([settings.seed, 3]).permutation(len(test))
            truth = test[np.sort(chosen[: settings.num_match])]
            figures["match"] = _joined(*(
                result.table() for result in predict_structures(system, truth, settings, progress)
            ))
        write_json(out / "figures.json", figures)
        run.finish()
    return figures


def predict_structures(
    system: FlowLLM,
    truth: CrystalBatch,
    settings: MeasureSettings,
    progress: Progress | None = None,
) -> tuple[MatchResult, MatchResult]:
    """Crystal structure prediction, one try: given each cell composition, prior and refined.

    Args:
        system: the model.
        truth: B test crystals.
        settings: how to sample and refine.
        progress: callback.
    """
    prompts = tuple(build_prompt(Conditions(composition=c)) for c in truth.compositions)
    result = system.generate(
        len(truth), prompts=prompts, seed=settings.seed, sampling=settings.sampling,
        refinement=settings.refinement, progress=progress,
    )  # fmt: skip
    return match(result.prior, truth), match(result.refined, truth)


def _joined(
    prior: list[tuple[str, str]], refined: list[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    return [(name, value, after) for (name, value), (_, after) in zip(prior, refined, strict=True)]


def peak_memory_mb() -> float:
    """The most memory this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def print_figures(figures: dict[str, Any]) -> None:
    """The figures as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title in ("unconditional", "match"):
        if title in figures:
            shown = Table("figure", "prior", "refined", title=title)
            for row in figures[title]:
                shown.add_row(*row)
            console.print(shown)
    for stage in figures["stages"]:
        console.print(
            f"{stage['name']}: {stage['crystals']} crystals, {stage['rejected']} rejected, "
            f"{stage['seconds']:.1f} s"
        )
    console.print(
        f"with files {figures['seconds_with_files']:.1f} s, "
        f"peak memory {figures['peak_memory_mb']:.0f} MB"
    )
