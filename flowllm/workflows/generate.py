"""A run of generation or refinement on disk: finished parts are kept, and the same command "
"resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.data.reduce import ReduceSettings, reduce_crystal
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.within import language_model_in
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import flat_settings, open_run
from flowllm.runs.parts import Parts, Wanted
from flowllm.runs.progress import Progress
from flowllm.systems.checks import completed, settings_of
from flowllm.systems.decoding_figures import DecodingFigures
from flowllm.systems.generation import Generation, Stage
from flowllm.systems.sampling import crystal_id
from flowllm.systems.system import FlowLLM
from flowllm.workflows.results import RESULTS, write_results
from flowllm.workflows.settings import PART_SIZE, GenerateSettings
from flowllm.workflows.targets import with_targets


def generate_run(
    model: FlowLLM,
    settings: GenerateSettings,
    out: Path,
    *,
    texts: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Generation:
    """Generate into a folder: parts of `part_size` crystals, then all user-facing files.

    A run that was interrupted goes on after its last finished part and ends as an uninterrupted
    one would.

    Args:
        model: the system.
        settings: what is asked.
        out: the folder.
        texts: the page shows the texts of some crystals token by token, also where the language
            model was not needed so far, whose reading takes seconds.
        overwrite: whatever run the folder holds is replaced.
        progress: callback.

    Raises:
        InputError: the folder holds another run, cannot be written, or the disk is full.
    """
    names: tuple[str, ...] = ()
    if settings.targets:
        settings, names = with_targets(settings)
    settings = completed(settings, model.prior, model.refiner)
    model.check(settings.request, settings.seed)
    identity = flat_settings(settings, model=model.digest(), names=names)

    def make(indices: range) -> Generation:
        made = model.generate_range(
            indices,
            settings.request,
            settings.seed,
            settings.sampling,
            settings.refinement,
            _shifted(progress, indices.start, settings.num),
        )
        return renamed(made, names[indices.start : indices.stop]) if names else made

    with open_run(out, "generate", identity, overwrite) as run:
        generation = in_parts(run, settings.num, settings.part_size, make)
        _write_once(run, generation, identity, _reader(model, texts))
    return generation


def refine_run(
    model: FlowLLM,
    files: Sequence[Path],
    settings: Any,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    part_size: int = PART_SIZE,
    on_read: Callable[[FoundCrystals], None] | None = None,
) -> tuple[Generation, list[str]]:
    """Refine structures from any program into a folder laid out as by `generate_run`.

    Args:
        model: the system.
        files: what `flowllm.inputs.read_inputs` reads.
        settings: how the refiner works; None takes its defaults.
        out: the folder.
        overwrite: replace another run in it.
        progress: callback.
        part_size: crystals that are finished, and kept, together.
        on_read: called with what was read, before it is refined.

    Returns:
        The crystals, and one message for each that was left out: it cannot be parsed, has partial
        occupancy, or more atoms in the primitive cell than the system allows.

    Raises:
        InputError: a file is missing, nothing is left to refine, or the folder cannot be used.
    """
    found = read_crystals(files, model.max_atoms)
    crystals, refused = found.crystals, found.refused
    if not len(crystals):
        raise InputError("nothing to refine: " + "; ".join(refused))
    if model.refiner is None:
        raise InputError(f"{model.name} has no refiner")
    if on_read is not None:
        on_read(found)
    label, settings = model.refiner.label, settings_of(model.refiner, settings)
    identity = flat_settings(
        settings,
        model=model.digest(),
        files=f"{len(files)} ({found.content})",
        part_size=part_size,
    )
    total = len(crystals)
    ids = np.array([crystal_id(index) for index in range(total)])

    def make(indices: range) -> Generation:
        chosen = slice(indices.start, indices.stop)
        batch = crystals[chosen].replace(ids=ids[chosen])
        began = time.perf_counter()
        report = _shifted(progress, indices.start, total)
        trajectory = model.refine(batch, settings, report, seeds=indices)
        seconds = time.perf_counter() - began
        left_out = len(refused) if not indices.start else 0
        sources = [f"refined from {name}" for name in crystals.ids[chosen]]
        stages = [Stage(label, len(batch), left_out, seconds)]
        return Generation(sources, batch, trajectory, stages)

    with open_run(out, "refine", identity, overwrite, inputs=files) as run:
        generation = in_parts(run, total, part_size, make)
        _write_once(run, generation, identity, _reader(model), refused, found.remarks)
    return generation, refused


@dataclass(frozen=True)
class FoundCrystals:
    """The content of files for refinement.

    Attributes:
        crystals: B crystals, each reduced to its primitive Niggli cell, with their places as ids.
        remarks: B texts, what is to be said of each.
        refused: a message for each crystal that is left out.
        notes: messages on the whole.
        content: a hash of the files' names and contents.
    """

    crystals: CrystalBatch
    remarks: list[str]
    refused: list[str]
    notes: tuple[str, ...]
    content: str


def read_crystals(files: Sequence[Path], max_atoms: int) -> FoundCrystals:
    """The crystals of files of any kind, each reduced to its primitive Niggli cell.

    Args:
        files: what is read, by `flowllm.inputs.read_inputs`.
        max_atoms: larger primitive cells are refused.

    Raises:
        InputError: no file is given, or some cannot be read; all of these are named.
    """
    if not files:
        raise InputError("no crystal file is given")
    inputs = read_inputs([Path(file) for file in files], large=None)
    crystals, remarks, refused = [], [], []
    limit = ReduceSettings(max_atoms=max_atoms)
    for row, (place, reason) in enumerate(zip(inputs.places, inputs.reasons, strict=True)):
        if reason:
            refused.append(f"{place}: {reason}")
            continue
        try:
            given = inputs.crystals[int(inputs.position[row])]
            crystals.append(reduce_crystal(given, str(place), limit))
            remarks.append(str(inputs.remarks[row]))
        except InputError as error:
            refused.append(str(error))
    batch = CrystalBatch.concatenate(crystals)
    return FoundCrystals(batch, remarks, refused, inputs.notes, inputs.content)


def in_parts(
    run: RunFolder, total: int, part_size: int, make: Callable[[range], Generation]
) -> Generation:
    """Crystals 0 to `total`, part by part; finished parts are read from the folder.

    Args:
        run: the run, which keeps them.
        total: crystals in all.
        part_size: crystals in a part.
        make: makes the crystals of some positions.
    """
    ranges = [range(s, min(s + part_size, total)) for s in range(0, total, part_size)]
    wanted = [
        Wanted(f"{part.start:06d}", f"{part.start}:{part.stop} of {run.digest}") for part in ranges
    ]

    def missing(places: list[int]) -> Iterator[tuple[int, Generation]]:
        return ((place, make(ranges[place])) for place in places)

    kept = Parts(run.path / "parts", _to_arrays, _from_arrays)
    parts = {place: part for place, part, _ in kept.each(wanted, missing)}
    return join(parts[place] for place in range(len(ranges)))


def join(parts: Iterable[Generation]) -> Generation:
    """Join consecutive parts into one generation; seconds and rejections add up."""
    parts = list(parts)
    stages = [
        Stage(
            same[0].name,
            sum(stage.crystals for stage in same),
            sum(stage.rejected for stage in same),
            sum(stage.seconds for stage in same),
        )
        for same in zip(*(part.stages for part in parts), strict=True)
    ]
    return Generation(
        [prompt for part in parts for prompt in part.prompts],
        CrystalBatch.concatenate(part.prior for part in parts),
        Trajectory.concatenate([part.trajectory for part in parts]),
        stages,
        sum((part.decoding for part in parts), DecodingFigures()),
    )


def renamed(made: Generation, names: Sequence[str]) -> Generation:
    """The same crystals under other ids."""
    ids = np.array(names, dtype=np.str_)
    return replace(
        made, prior=made.prior.replace(ids=ids), trajectory=replace(made.trajectory, ids=ids)
    )


def _reader(model: FlowLLM, anyhow: bool = False) -> LanguageModelPrior | None:
    """The language model that reads texts for the page: one in memory, or `anyhow` one on disk."""
    found = language_model_in(model.prior)
    return found if found is not None and (anyhow or found.in_memory) else None


def _write_once(
    run: RunFolder,
    generation: Generation,
    settings: dict[str, Any],
    reader: LanguageModelPrior | None,
    left_out: Sequence[str] = (),
    remarks: Sequence[str] | None = None,
) -> None:
    """Write the results and finish the run, unless all is already there."""
    if run.finished and all((run.path / name).exists() for name in RESULTS):
        return
    began = time.perf_counter()
    write_results(run.path, generation, settings, left_out, remarks, reader)
    run.finish(seconds_of_files=round(time.perf_counter() - began, 3))


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    """Progress over the whole run, from that of one part."""
    if progress is None:
        return None
    report = progress

    def shifted(stage: str, done: int, _: int) -> None:
        report(stage, start + done, total)

    return shifted


def _to_arrays(part: Generation) -> dict[str, np.ndarray]:
    arrays = part.trajectory.arrays()
    arrays["prompts"] = np.array(part.prompts)
    arrays["stage_names"] = np.array([stage.name for stage in part.stages])
    arrays["stage_counts"] = np.array([[s.crystals, s.rejected] for s in part.stages])
    arrays["stage_seconds"] = np.array([stage.seconds for stage in part.stages])
    arrays["decoding"] = np.array(astuple(part.decoding), dtype=np.float64)
    return arrays


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Generation:
    trajectory = Trajectory.from_arrays(arrays)
    columns = (arrays[f"stage_{name}"] for name in ("names", "counts", "seconds"))
    stages = [
        Stage(str(name), int(counts[0]), int(counts[1]), float(seconds))
        for name, counts, seconds in zip(*columns, strict=True)
    ]
    prompts = [str(prompt) for prompt in arrays["prompts"]]
    decoding = DecodingFigures.of(arrays["decoding"])
    return Generation(prompts, trajectory.first, trajectory, stages, decoding)
