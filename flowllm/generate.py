"""A run of generation or refinement on disk: finished parts stay, the same command goes on."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.checkpoint import RunFolder, atomic_write, friendly_os_errors
from flowllm.crystal import CrystalBatch, parse_cif
from flowllm.errors import InputError
from flowllm.flow.refine import RefineSettings
from flowllm.lm.decode import SamplingSettings
from flowllm.model import FlowLLM, Generation, Progress, Stage, reduce_structures
from flowllm.output import write_results
from flowllm.text.request import Request
from flowllm.trajectory import Trajectory

PART_SIZE = 256  # crystals that are finished, and kept, together


@dataclass(frozen=True)
class GenerateSettings:
    """Everything that a run of generation depends on.

    Attributes:
        num: accepted crystals wanted.
        request: what they shall be.
        sampling: how the language model draws.
        refinement: how the flow is integrated.
        seed: of everything random.
    """

    num: int
    request: Request = field(default_factory=Request)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    refinement: RefineSettings = field(default_factory=RefineSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num < 1:
            raise InputError(f"the number of crystals must be at least 1, not {self.num}")
        if self.seed < 0:
            raise InputError(f"the seed must be at least 0, not {self.seed}")


def generate_run(
    model: FlowLLM,
    settings: GenerateSettings,
    out: Path,
    *,
    model_name: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Generation:
    """Generate into a folder: parts of `PART_SIZE` crystals, then everything a person opens.

    A run that was interrupted goes on after its last finished part and ends as an uninterrupted
    one would.

    Raises:
        InputError: the folder holds another run, cannot be written, or the disk is full.
    """
    identity = {"model": model_name, **asdict(settings)}
    with RunFolder.open(out, "generate", identity, overwrite) as run:
        parts = []
        folder = _parts_folder(out)
        for start in range(0, settings.num, PART_SIZE):
            path = folder / f"{start // PART_SIZE:05d}.npz"
            if not path.is_file():
                indices = range(start, min(start + PART_SIZE, settings.num))
                part = model.generate_range(
                    indices, settings.request, settings.seed, settings.sampling,
                    settings.refinement, _shifted(progress, start, settings.num),
                )  # fmt: skip
                _save_part(path, part)
            parts.append(_load_part(path))
        generation = join(parts)
        write_results(out, generation, identity)
        run.finish()
    return generation


def refine_run(
    model: FlowLLM,
    files: list[Path],
    settings: RefineSettings,
    out: Path,
    *,
    model_name: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Generation, list[str]]:
    """Refine structures from CIF files into a folder laid out as `generate_run` does.

    Returns:
        The crystals, and one message for each file that was left out.

    Raises:
        InputError: nothing is left to refine, or the folder cannot be used.
    """
    structures, names, refused = [], [], []
    for file in files:
        try:
            structures.append(parse_cif(_read(file), str(file)))
            names.append(str(file))
        except InputError as error:
            refused.append(str(error))
    crystals, too_large = reduce_structures(structures, names)
    refused += too_large
    if not len(crystals):
        raise InputError("nothing to refine: " + "; ".join(refused))
    identity = {"model": model_name, "files": [str(f) for f in files], **asdict(settings)}
    with RunFolder.open(out, "refine", identity, overwrite) as run:
        import time

        began = time.perf_counter()
        trajectory = model.refine(crystals, settings, progress)
        stage = Stage("Riemannian flow", len(crystals), len(refused), time.perf_counter() - began)
        sources = [f"refined from {name}" for name in crystals.ids]
        ids = np.array([f"{index:06d}" for index in range(len(crystals))])
        generation = Generation(
            sources, crystals.replace(ids=ids), renamed(trajectory, ids), [stage]
        )
        write_results(out, generation, identity)
        run.finish()
    return generation, refused


def join(parts: Iterable[Generation]) -> Generation:
    """One generation out of consecutive parts; seconds and rejections add up."""
    parts = list(parts)
    stages = [
        Stage(same[0].name, sum(s.crystals for s in same), sum(s.rejected for s in same),
              sum(s.seconds for s in same))
        for same in zip(*(part.stages for part in parts), strict=True)
    ]  # fmt: skip
    return Generation(
        [prompt for part in parts for prompt in part.prompts],
        CrystalBatch.concatenate(part.prior for part in parts),
        Trajectory.concatenate([part.trajectory for part in parts]),
        stages,
    )


def renamed(trajectory: Trajectory, ids: np.ndarray) -> Trajectory:
    """The same trajectory with other ids."""
    return Trajectory(
        trajectory.times, trajectory.frac_coords, trajectory.lengths, trajectory.angles,
        trajectory.atomic_numbers, trajectory.num_atoms, ids,
    )  # fmt: skip


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(f"no such file: {file}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _parts_folder(out: Path) -> Path:
    folder = out / "parts"
    with friendly_os_errors(folder):
        folder.mkdir(exist_ok=True)
    return folder


def _shifted(progress: Progress | None, start: int, total: int) -> Progress | None:
    """Progress over the whole run, from that of one part."""
    if progress is None:
        return None
    report = progress

    def shifted(stage: str, done: int, _: int) -> None:
        report(stage, start + done, total)

    return shifted


_TRAJECTORY = ("times", "frac_coords", "lengths", "angles", "atomic_numbers", "num_atoms", "ids")


def _save_part(path: Path, part: Generation) -> None:
    arrays: dict[str, Any] = {n: getattr(part.trajectory, n) for n in _TRAJECTORY}
    arrays["prompts"] = np.array(part.prompts)
    arrays["stage_names"] = np.array([stage.name for stage in part.stages])
    arrays["stage_counts"] = np.array([[s.crystals, s.rejected] for s in part.stages])
    arrays["stage_seconds"] = np.array([stage.seconds for stage in part.stages])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    atomic_write(path, buffer.getvalue())


def _load_part(path: Path) -> Generation:
    with np.load(path, allow_pickle=False) as archive:
        trajectory = Trajectory(*(archive[name] for name in _TRAJECTORY))
        stages = [
            Stage(str(name), int(crystals), int(rejected), float(seconds))
            for name, (crystals, rejected), seconds in zip(
                archive["stage_names"], archive["stage_counts"], archive["stage_seconds"],
                strict=True,
            )
        ]  # fmt: skip
        prompts = [str(prompt) for prompt in archive["prompts"]]
    return Generation(prompts, trajectory.first, trajectory, stages)
