"""evaluate: from crystals to a report, stage by stage, each saved when done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowllm.errors import InputError
from flowllm.evaluation.reference import Reference
from flowllm.evaluation.report import Report
from flowllm.evaluation.rows import table_of
from flowllm.evaluation.settings import EvaluateSettings
from flowllm.evaluation.sizes import without_largest
from flowllm.evaluation.stages import REGISTRY, chosen_stages
from flowllm.evaluation.stages.base import StageResult, Work
from flowllm.inputs import Inputs, read_inputs
from flowllm.parallel.map import available_cores
from flowllm.parallel.pool import WorkerPool
from flowllm.runs.identity import flat_settings, open_run
from flowllm.runs.progress import Progress
from flowllm.settings import check_workers
from flowllm.stability import load_hull

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

    from flowllm.crystals.batch import CrystalBatch

COMMAND = "evaluate"


def evaluate(
    source: str | Path | CrystalBatch | Sequence[Structure | Atoms],
    reference: str | Path | Reference = "mp_20",
    out: str | Path | None = None,
    *,
    settings: EvaluateSettings | None = None,
    only: Sequence[str] | None = None,
    name: str | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Evaluate crystals of any program as the papers do.

    Args:
        source: anything that `flowllm.inputs.read_inputs` reads: a file or folder of crystals of
            any kind, the folder of a run, or crystals in memory. Of CIF files the primitive cells
            are evaluated.
        reference: the data set to compare with: a name that ships with the package, or a folder
            that `flowllm reference` wrote.
        out: folder for summary.json, per_crystal.csv, report.html and finished stages, from which
            the same call goes on after an interruption; None keeps nothing.
        settings: conventions, thresholds, tolerances.
        only: names of `flowllm.evaluation.stages.STAGES`; what they need runs with them. Stages
            that the folder holds already stay in the report.
        name: of the system, for legends; default that of the source.
        executor: any `concurrent.futures` executor, as of a cluster; default processes here.
        workers: how many of those; default all cores.
        overwrite: replace another evaluation in the folder.
        progress: called as progress(stage, done, total).

    Raises:
        InputError: nothing can be read there, no such reference or stage, or the folder holds
            another run.
    """
    settings = settings or EvaluateSettings()
    stages = chosen_stages(only)
    check_workers(workers)
    if settings.hull and "stability" in stages:  # looked at before hours are spent
        load_hull(settings.hull)
    compared = reference if isinstance(reference, Reference) else Reference.load(reference)
    inputs = read_inputs(
        source,
        executor=executor,
        workers=workers,
        progress=(lambda done, total: progress("reading", done, total)) if progress else None,
        primitive=True,
    )
    inputs = without_largest(inputs)
    identity = flat_settings(
        settings, inputs=inputs.digest, reference=f"{compared.name} {compared.version}"
    )
    label = name or _name_of(source)
    read = [source] if isinstance(source, (str, Path)) else []
    # one pool for all stages: its processes spend seconds on importing what they need
    own = WorkerPool(workers or available_cores()) if executor is None and workers != 1 else None
    with _folder(out, identity, overwrite, read) as folder, own or nullcontext():
        results = _run_stages(
            stages, inputs, compared, settings, folder, executor or own, workers, progress
        )
        report = Report(
            name=label,
            metrics={stage: result.metrics for stage, result in results.items()},
            protocol={
                stage: {**_about(inputs), **result.protocol} if stage == "validity"
                else result.protocol for stage, result in results.items()
            },
            rows=table_of(inputs, results),
            crystals=inputs.crystals,
            data=compared.bins,
            data_name=compared.describe("test"),
        )  # fmt: skip
        if out is not None:
            report.save(folder)
    return report


def _run_stages(
    stages: tuple[str, ...],
    inputs: Inputs,
    reference: Reference,
    settings: EvaluateSettings,
    folder: Path,
    executor: Executor | None,
    workers: int | None,
    progress: Progress | None,
) -> dict[str, StageResult]:
    """The requested stages and those in the folder, in order.

    One whose file is damaged is made again.
    """
    kept = {
        stage.name: _kept(folder / "stages" / f"{stage.name}.json", len(inputs.crystals))
        for stage in REGISTRY
    }
    damaged = [name for name, result in kept.items() if isinstance(result, InputError)]
    wanted = {*stages, *(chosen_stages(damaged) if damaged else ())}
    results: dict[str, StageResult] = {}
    for stage in REGISTRY:
        file, before = folder / "stages" / f"{stage.name}.json", kept[stage.name]
        if isinstance(before, StageResult):
            results[stage.name] = before
        elif stage.name in wanted:
            work = Work(
                inputs, reference, settings, folder / "stages" / stage.name, results, executor,
                workers, progress, stage.name,
            )  # fmt: skip
            file.parent.mkdir(parents=True, exist_ok=True)
            result = stage.run(work)
            for place, metric in enumerate(result.metrics):  # what the training split scores
                if metric.data is None and metric.name in reference.floor:
                    result.metrics[place] = replace(metric, data=reference.floor[metric.name])
            result.save(file)
            results[stage.name] = StageResult.load(file)  # as a later call will find it
    return results


def _kept(file: Path, crystals: int) -> StageResult | InputError | None:
    """A stage finished earlier; None if there is none, an error if its file is damaged.

    Args:
        file: of the stage.
        crystals: whose values each column has.
    """
    if not file.is_file():
        return None
    try:
        result = StageResult.load(file)
    except InputError as error:
        return error
    lengths = {len(values) for values in result.columns.values()}
    return result if lengths <= {crystals} else InputError(f"{file} is of different crystals")


@contextmanager
def _folder(
    out: str | Path | None, identity: dict[str, Any], overwrite: bool, inputs: list[Any]
) -> Iterator[Path]:
    """The locked output folder, or a temporary one."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="flowllm-evaluate-") as folder:
            yield Path(folder)
        return
    with open_run(out, COMMAND, identity, overwrite, inputs) as run:
        yield run.path
        run.finish()


def _about(inputs: Inputs) -> dict[str, str]:
    """Protocol lines on the inputs."""
    lines = {
        "input": inputs.origin,
        "remarks": inputs.remark_summary.partition(": ")[2],
        "notes": "; ".join(inputs.notes),
    }
    return {name: text for name, text in lines.items() if text or name == "input"}


def _name_of(source: Any) -> str:
    return Path(source).name or str(source) if isinstance(source, (str, Path)) else "crystals"
