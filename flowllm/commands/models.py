"""The commands for a whole model: combine its parts, benchmark it."""

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
        lm: folder of the prior; "flowllm train-lm" writes one.
        flow: folder of the refiner; "flowllm train-flow" writes one.
        out: folder for the whole system.
        data: data set: mp_20, or a folder that "flowllm data" wrote; generate draws cell sizes as
            its training split has them.
        prior: kind of prior; see "flowllm pair".
        refiner: kind of refiner.
        start: time of entry into the refiner; from 0, the prior, to 1, the data.
        share: refer to shipped parts instead of copying them; these are parts of models that ship
            with the package.
        half: save the weights in float16; this halves their size.
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
    """Time the stages, and compare each network with the machine's peak matrix throughput.

    With --evaluation, the evaluation of these crystals is timed instead of a model.

    Args:
        num: number of crystals to generate.
        steps: refinement steps.
        threads: CPU threads; 0 uses all.
        evaluation: time the evaluation of these crystals instead; anything that "flowllm evaluate"
            takes.
        relax_num: number of these crystals to relax; those of 8 to 12 atoms, by this package and by
            chgnet alone.
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
