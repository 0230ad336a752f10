"""The commands for a whole model: combine its parts, time it."""

from __future__ import annotations

from pathlib import Path

from flowllm.commands.options import SHIPPED_MODEL, Device, load_system
from flowllm.runs.terminal import say


def combine(
    lm: Path,
    flow: Path,
    out: Path,
    data: str = "mp_20",
    prior: str = "language-model",
    refiner: str = "flow",
    start: float = 0.0,
    share: bool = False,
    half: bool = True,
    overwrite: bool = False,
) -> None:
    """Join a language model and a flow into one folder that `generate --model` takes.

    Args:
        lm: folder that "flowllm train-lm" wrote, or of another prior.
        flow: folder that "flowllm train-flow" wrote, or of another refiner.
        out: folder of the whole system.
        data: mp_20, or a folder that "flowllm data" wrote; generate draws sizes of cells as often
            as its training split has them.
        prior: kind of the prior, as for "flowllm pair".
        refiner: kind of the refiner.
        start: the time, from 0 at the prior to 1 at the data, at which crystals enter the refiner.
        share: name parts of models that ship with the package, instead of copying them.
        half: keep the weights in float16 on disk, half the size.
    """
    from flowllm.workflows.train import combine as join

    join(
        lm, flow, data, out, prior_kind=prior, refiner_kind=refiner, start=start, share=share,
        half=half, overwrite=overwrite,
    )  # fmt: skip
    say(f"flowllm generate --model {out} --out runs/mine")


def bench(
    model: str = SHIPPED_MODEL,
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
        num: crystals to generate.
        steps: steps of the refinement.
        threads: processor threads; 0 takes all.
        evaluation: crystals to evaluate instead, anything that "flowllm evaluate" takes.
        relax_num: so many of them, of 8 to 12 atoms, are relaxed by us and by chgnet alone.
    """
    from flowllm.errors import InputError
    from flowllm.settings import check_threads

    check_threads(threads)
    if relax_num < 0:
        raise InputError(f"--relax-num must be at least 0, not {relax_num}")
    if evaluation is not None:
        from flowllm.bench.evaluation import bench_evaluation, print_evaluation_bench

        print_evaluation_bench(
            bench_evaluation(evaluation, relax_num=relax_num, workers=threads or None)
        )
        return
    from flowllm.bench.generation import bench_model, print_bench

    print_bench(bench_model(load_system(model, device), num, steps, device, threads))
