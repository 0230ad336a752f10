"""How fast the stages are, and how close each network comes to the machine's matrix throughput."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from flowllm.bench.memory import peak_memory_mb
from flowllm.bench.reading import ReadingBench, bench_reading
from flowllm.bench.writing import WritingBench, bench_writing
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.systems.decoding_figures import DecodingFigures
from flowllm.systems.protocols import Counted
from flowllm.systems.record import DEFAULT_MODEL
from flowllm.systems.system import FlowLLM
from flowllm.training.device import used_threads

SIZES = (256, 512, 1024, 2048)
COUNTED = 32  # crystals whose operations are counted
SECONDS = 0.3  # that each size of matrix product is measured for


@dataclass(frozen=True)
class StageRate:
    """The speed of one stage.

    Attributes:
        name: of the stage.
        seconds: for all crystals.
        crystals_per_second: crystals over seconds.
        unit: what its network is called for, as in "tokens".
        units_per_second: tokens written, or evaluations of the network for one crystal.
        mflop_per_unit: matrix-product operations for one unit, in millions, prompts and padding
            included.
        gflops: billions of these a second.
        share: of the machine's best measured rate, 0 to 1.
    """

    name: str
    seconds: float
    crystals_per_second: float
    unit: str
    units_per_second: float
    mflop_per_unit: float
    gflops: float
    share: float


@dataclass(frozen=True)
class Bench:
    """The figures of one machine.

    Attributes:
        device: where it was computed.
        threads: processor threads.
        crystals: how many were generated.
        steps: of the refinement.
        matmul: (size, billions of fp32 operations a second) of square matrix products.
        stages: each stage.
        seconds: of all stages.
        peak_memory_mb: of this process.
        decoding: of the language model: all that it wrote, outlines included.
        writing: how fast the files of a run are written.
        reading: how fast the crystals are read again as CIF.
    """

    device: str
    threads: int
    crystals: int
    steps: int
    matmul: list[tuple[int, float]]
    stages: list[StageRate]
    seconds: float
    peak_memory_mb: float
    decoding: DecodingFigures
    writing: WritingBench
    reading: ReadingBench


def bench_model(
    model: str | Path | FlowLLM = DEFAULT_MODEL,
    num: int = 256,
    steps: int = 25,
    device: str = "auto",
    threads: int = 0,
) -> Bench:
    """Generate crystals with the default settings and time it.

    Args:
        model: a system, a folder with weights, or the name of a model that ships with the package.
        num: crystals to generate.
        steps: steps of the integration.
        device: "auto", "cpu", "cuda" or "mps".
        threads: processor threads; 0 takes torch's choice.

    Raises:
        InputError: no such model or device, or a count out of its range.
    """
    if num < 1:
        raise InputError(f"the number of crystals must be at least 1, not {num}")
    if threads < 0:
        raise InputError(f"threads must be at least 0, not {threads}")
    system = model if isinstance(model, FlowLLM) else FlowLLM.from_pretrained(model, device)
    settings = refinement_of(system, steps)
    place = torch.device(getattr(system.refiner, "device", "cpu"))
    with used_threads(threads):
        system.generate(min(num, 8), seed=1, refinement=refinement_of(system, 1))  # warm up
        result = system.generate(num, refinement=settings)
        operations = count_operations(system, min(num, COUNTED), settings)
        matmul = [(size, matmul_rate(size, place)) for size in SIZES]
        best = max(rate for _, rate in matmul)
        stages = []
        for stage in result.stages:
            unit, count = units_of(system, stage.name, result.prior, settings)
            gflops = operations[stage.name] * count / stage.seconds / 1e9
            stages.append(
                StageRate(
                    name=stage.name,
                    seconds=stage.seconds,
                    crystals_per_second=num / stage.seconds,
                    unit=unit,
                    units_per_second=count / stage.seconds,
                    mflop_per_unit=operations[stage.name] / 1e6,
                    gflops=gflops,
                    share=gflops / best,
                )
            )
        return Bench(
            device=str(place),
            threads=torch.get_num_threads(),
            crystals=num,
            steps=steps,
            matmul=matmul,
            stages=stages,
            seconds=sum(stage.seconds for stage in result.stages),
            peak_memory_mb=peak_memory_mb(),
            decoding=result.decoding,
            writing=bench_writing(result),
            reading=bench_reading(result.refined),
        )


def matmul_rate(size: int, device: torch.device | str = "cpu", seconds: float = SECONDS) -> float:
    """Billions of operations per second in the fastest fp32 product of two square matrices.

    Args:
        size: rows and columns.
        device: where.
        seconds: how long to go on trying.
    """
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    waits: dict[str, Callable[[], Any]] = {
        "cuda": torch.cuda.synchronize,
        "mps": torch.mps.synchronize,
    }
    wait = waits.get(torch.device(device).type, lambda: None)
    fastest, end = float("inf"), time.perf_counter() + seconds
    for attempt in range(10**6):
        began = time.perf_counter()
        torch.mm(a, b)
        wait()
        now = time.perf_counter()
        if attempt:  # the first one wakes the threads
            fastest = min(fastest, now - began)
            if now > end:
                break
    return 2 * size**3 / fastest / 1e9


def count_operations(system: FlowLLM, num: int, settings: Any) -> dict[str, float]:
    """Matrix-product operations of each stage per unit, such as a token or an evaluation.

    Counted by torch's `FlopCounterMode` while crystals are made, so prompts and padding are in it.
    """
    with FlopCounterMode(display=False) as whole:
        result = system.generate(num, refinement=settings)
    with FlopCounterMode(display=False) as refining:
        system.refine(result.prior, settings)
    refined = refining.get_total_flops()
    counted = {system.prior.label: whole.get_total_flops() - refined}
    if system.refiner is not None:
        counted[system.refiner.label] = refined
    return {
        label: operations / units_of(system, label, result.prior, settings)[1]
        for label, operations in counted.items()
    }


def units_of(system: FlowLLM, label: str, crystals: CrystalBatch, settings: Any) -> tuple[str, int]:
    """The unit of a stage's network calls, and their number; crystals where it gives none."""
    of_prior = label == system.prior.label
    part = system.prior if of_prior else system.refiner
    if isinstance(part, Counted):
        unit, count = part.units(crystals, system.prior.Settings() if of_prior else settings)
        return unit, max(count, 1)
    return "crystals", len(crystals)


def refinement_of(system: FlowLLM, steps: int) -> Any:
    """The refiner's settings, with this many steps if it has steps."""
    if system.refiner is None:
        return None
    chosen = system.refiner.Settings()
    return replace(chosen, steps=steps) if hasattr(chosen, "steps") else chosen


def print_bench(bench: Bench) -> None:
    """The figures as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"{bench.crystals} crystals, {bench.steps} steps of refinement, fp32, {bench.device}"
    stages = Table("stage", "seconds", "crystals/s", "GFLOP/s", "share", title=title)
    for stage in bench.stages:
        stages.add_row(
            stage.name,
            f"{stage.seconds:.2f}",
            f"{stage.crystals_per_second:.1f}",
            f"{stage.gflops:.1f}",
            f"{100 * stage.share:.1f} %",
        )
    console.print(stages)
    for stage in bench.stages:
        console.print(
            f"{stage.name}: {stage.units_per_second:,.0f} {stage.unit}/s "
            f"of {stage.mflop_per_unit:.2f} MFLOP each"
        )
    console.print(f"decoding, outlines included: {bench.decoding}")
    read, written = bench.reading, bench.writing
    console.print(
        f"files of a run: {written.crystals:,} crystals in {written.seconds:.2f} s, "
        f"{written.per_second:,.0f}/s"
    )
    console.print(
        f"reading: {read.texts:,} CIF texts in {read.seconds:.2f} s in one process, "
        f"{read.per_second:,.0f}/s"
    )
    rates = Table(
        "matrix product", "GFLOP/s", title="the machine: fp32 products of square matrices"
    )
    for size, rate in bench.matmul:
        rates.add_row(f"{size} x {size}", f"{rate:.1f}")
    console.print(rates)
    console.print("share: of the best of these rates, by the matrix products of the network")
    console.print(
        f"{bench.crystals / bench.seconds:.1f} crystals/s in all ({bench.seconds:.1f} s), "
        f"peak memory {bench.peak_memory_mb:.0f} MB"
    )
