"""The figures of a model card: generation and crystal structure prediction, before and after."""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.data import load_dataset
from flowllm.metrics.matching import MatchResult, before_and_after, match
from flowllm.metrics.summary import summarise
from flowllm.runs.files import read_json, write_json
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import flat_settings, open_run
from flowllm.runs.progress import Progress
from flowllm.seeds import Stream, generator
from flowllm.systems.system import FlowLLM
from flowllm.text.prompts import build_prompt
from flowllm.workflows.generate import generate_run
from flowllm.workflows.settings import GenerateSettings, MeasureSettings


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
        Rows (figure, prior, refined), and seconds, rejections and the peak memory of this process.

    Raises:
        InputError: no such model or data, or the folder holds another run.
    """
    train = load_dataset(settings.data, "train")
    test = load_dataset(settings.data, settings.match_split).crystals
    system = FlowLLM.from_pretrained(settings.model, device)
    crystals = train.crystals.digest() + test.digest()
    identity = flat_settings(settings, weights=system.digest(), crystals=crystals)
    inputs = [settings.model, settings.data]
    with open_run(out, "measure", identity, overwrite, inputs=inputs) as run:
        file = run.path / "figures.json"
        if run.finished and file.is_file():
            return dict(read_json(file))
        generation = generate_run(
            system,
            GenerateSettings(
                settings.num, Request(), settings.sampling, settings.refinement, settings.seed
            ),
            run.path / "unconditional",
            progress=progress,
        )
        written = RunFolder.read(run.path / "unconditional")["seconds_of_files"]
        training = set(train.reduced_formulas)
        tables = [
            summarise(crystals, training).table()
            for crystals in (generation.prior, generation.refined)
        ]
        figures: dict[str, Any] = {
            "unconditional": _joined(*tables),
            "stages": [asdict(stage) for stage in generation.stages],
            "seconds_with_files": sum(stage.seconds for stage in generation.stages) + written,
            "peak_memory_mb": peak_memory_mb(),
        }
        if settings.num_match:
            chosen = generator(Stream.MATCHED, settings.seed).permutation(len(test))
            truth = test[np.sort(chosen[: settings.num_match])]
            results = predict_structures(system, truth, settings, run.path / "match", progress)
            tables = [result.table() for result in results]
            figures["match"] = _joined(*tables) + before_and_after(*results)
        write_json(file, figures)
        run.finish()
    return figures


def predict_structures(
    system: FlowLLM,
    truth: CrystalBatch,
    settings: MeasureSettings,
    out: Path,
    progress: Progress | None = None,
) -> tuple[MatchResult, MatchResult]:
    """Crystal structure prediction, one try: given each cell composition, prior and refined.

    Args:
        system: the model.
        truth: B test crystals.
        settings: how to sample and refine.
        out: folder of the run that generates.
        progress: callback.
    """
    prompts = tuple(build_prompt(Conditions(composition=c)) for c in truth.compositions)
    wanted = GenerateSettings(
        len(truth),
        Request(prompts=prompts),
        settings.sampling,
        settings.refinement,
        settings.seed,
    )
    result = generate_run(system, wanted, out, progress=progress)
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
