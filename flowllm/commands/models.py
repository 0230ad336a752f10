"""The commands for a whole model: combine its parts, measure it, time it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from flowllm.commands.options import Device, PriorKind, Solver, load_system


def combine(
    lm: Path,
    flow: Path,
    out: Path,
    data: str = "mp_20",
    prior: PriorKind = "language-model",
    half: bool = True,
    overwrite: bool = False,
) -> None:
    """Join a language model and a flow into one folder that `generate --model` takes.

    Args:
        lm: folder that "flowllm train-lm" wrote.
        flow: folder that "flowllm train-flow" wrote.
        out: folder of the whole system.
        data: mp_20, or a folder that "flowllm data" wrote; generate draws sizes of cells as often
            as its training split has them.
        prior: what the flow starts from; as it was told to "flowllm pair".
        half: keep the weights in float16 on disk, half the size.
        overwrite: replace a system in the output folder.
    """
    from flowllm.workflows.train import combine as join

    join(lm, flow, data, out, prior_kind=prior, half=half, overwrite=overwrite)
    print(f"flowllm generate --model {out} --out runs/mine")


def measure(
    out: Path,
    model: str = "mp20-compact",
    data: str = "mp_20",
    num: int = 1000,
    num_match: int = 500,
    match_split: Literal["test", "val"] = "test",
    temperature: float = 0.7,
    top_p: float = 0.9,
    steps: int = 25,
    solver: Solver = "euler",
    anti_annealing: float = 0.0,
    symprec: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Measure a model: validity, novelty and the match with test structures, before and after.

    Args:
        out: folder for the crystals and figures.json.
        model: a folder with weights, or the name of a model that ships with the package.
        data: mp_20, or a folder that "flowllm data" wrote, with training and test splits.
        num: unconditional crystals.
        num_match: test crystals whose composition is given, one try each; 0 leaves this out.
        match_split: of which split they are; val for choices, so that test stays untouched.
        temperature: of sampling.
        top_p: of sampling.
        steps: steps of the refinement; more are slower and more exact.
        solver: how the flow is integrated; midpoint takes twice, rk4 four times the time of euler.
        anti_annealing: s speeds the atoms up by 1 + s t towards the end of the flow; 0 is off.
        symprec: keep the space group that a crystal has within this tolerance, in Å, before it is
            refined; 0 lets the flow break it.
        seed: of everything random.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.methods.flow.refiner import RefineSettings
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.measure import MeasureSettings, measure_model, print_figures

    settings = MeasureSettings(
        model=model,
        data=data,
        num=num,
        num_match=num_match,
        match_split=match_split,
        sampling=SamplingSettings(temperature, top_p),
        refinement=RefineSettings(steps, solver, anti_annealing, symprec=symprec),
        seed=seed,
    )
    with progress_bars() as progress:
        figures = measure_model(
            settings, out, device=device, overwrite=overwrite, progress=progress
        )
    print_figures(figures)


def bench(
    model: str = "mp20-compact",
    num: int = 256,
    steps: int = 25,
    threads: int = 0,
    evaluation: Path | None = None,
    relax_num: int = 100,
    device: Device = "auto",
) -> None:
    """Time the stages, and compare each network with the machine's own matrix products.

    With --evaluation it is the evaluation of these crystals that is timed, not a model.

    Args:
        model: a folder with weights, or the name of a model that ships with the package.
        num: crystals to generate.
        steps: steps of the refinement.
        threads: processor threads; 0 takes all.
        evaluation: crystals to evaluate instead, anything that "flowllm evaluate" takes.
        relax_num: so many of them, of 8 to 12 atoms, are relaxed by us and by chgnet alone.
        device: where to compute.
    """
    if evaluation is not None:
        from flowllm.bench.evaluation import bench_evaluation, print_evaluation_bench

        print_evaluation_bench(
            bench_evaluation(evaluation, relax_num=relax_num, workers=threads or None)
        )
        return
    from flowllm.bench.generation import bench_model, print_bench

    print_bench(bench_model(load_system(model, device), num, steps, device, threads))
