"""Trained parts put together into a system on disk."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from flowllm.conditions.ranges import TrainingRanges
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior, WrittenSpecies
from flowllm.methods.base.prior import BASE
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.runs.files import atomic_write, friendly_os_errors, hidden_neighbour, remove
from flowllm.systems.parts import PRETRAINED, SYSTEM_FILE, PartRecord, shipped_part
from flowllm.systems.protocols import Prior
from flowllm.systems.recipes import Recipe
from flowllm.systems.record import ROLES
from flowllm.systems.registry import part_class
from flowllm.systems.registry import refiner_kind as kind_of_refiner
from flowllm.systems.system import FlowLLM
from flowllm.systems.training import MODEL
from flowllm.workflows.train.source import LANGUAGE_MODEL, load_prior
from flowllm.workflows.train.splits import num_atoms_histogram

PARTS = (*ROLES, "lm", "flow", "training.npz", SYSTEM_FILE)
"""What a system's folder holds, those of the first version among them."""


def combine(
    lm: Path,
    flow: Path,
    data: str | Path,
    out: Path,
    *,
    prior_kind: str = LANGUAGE_MODEL,
    refiner_kind: str = "flow",
    start: float = 0.0,
    share: bool = False,
    half: bool = True,
    overwrite: bool = False,
) -> FlowLLM:
    """Join a prior and a refiner into a folder that `FlowLLM.from_pretrained` reads.

    Args:
        lm: folder of the prior, or of the language model that it is made of.
        flow: folder of the refiner: what training wrote, or its `model/`.
        data: the training data.
        out: the system's folder.
        prior_kind: a kind of prior.
        refiner_kind: a kind of refiner.
        start: the time in [0, 1) at which the prior's crystals enter the refiner.
        share: as for `package`, and so are half and overwrite.
        half: weights in float16.
        overwrite: replace the system in `out`.

    Raises:
        InputError: as `package`; no such kind, or a start outside [0, 1).
    """
    made_of = Recipe("", prior_kind, refiner_kind, start=start)
    return package(made_of, lm, flow, data, out, share=share, half=half, overwrite=overwrite)


def largest_written(prior: Prior) -> int | None:
    """Atoms of the largest cell that a prior's language model can write; None without one."""
    if isinstance(prior, BasePrior) and isinstance(prior.species, WrittenSpecies):
        prior = prior.species.prior
    if isinstance(prior, RankedPrior):
        prior = prior.language_model
    return prior.format.max_atoms if isinstance(prior, LanguageModelPrior) else None


def package(
    made_of: Recipe,
    prior: Path,
    refiner: Path | None,
    data: str | Path,
    out: Path,
    *,
    name: str = "",
    share: bool = False,
    half: bool = True,
    overwrite: bool = False,
) -> FlowLLM:
    """Put trained parts together into a folder that `FlowLLM.from_pretrained` reads.

    A folder that holds the very system already is left as it is.

    Args:
        made_of: the kinds of the parts, and where the refiner starts.
        prior: folder of the prior, or of the language model that it is made of.
        refiner: folder of the run that trained the refiner, or of the refiner itself.
        data: whose training split says how often a cell has 1, 2, … atoms, and which values of
            each condition it has.
        out: the system's folder; other files in it, such as a model card, stay.
        name: of the recipe; by default the first one with these kinds of parts.
        share: name what lies in a model that ships with the package, instead of copying it.
        half: weights in float16.
        overwrite: replace the system in `out`.

    Raises:
        InputError: a part is missing or damaged, `out` cannot be used or holds another system.
    """
    drawn_by = load_prior(made_of.prior, prior, data, as_stored=True, share=share)
    logs, moved_by = {"prior": _log(prior)}, None
    places = {"prior": shipped_part(made_of.prior, prior) if _is_whole(drawn_by, prior) else None}
    if refiner is not None and made_of.refiner is not None:
        trained = refiner / MODEL if (refiner / MODEL).is_dir() else refiner
        moved_by = part_class(kind_of_refiner(made_of.refiner)).load(trained, "cpu")
        places["refiner"] = shipped_part(made_of.refiner, trained)
        logs["refiner"] = _log(refiner if (refiner / "log.jsonl").is_file() else trained.parent)
    training = load_dataset(data, "train")
    most = largest_written(drawn_by)
    if most is not None and most < training.max_atoms:
        raise InputError(
            f"{prior} writes cells of up to {most} atoms, and the data set {data} has up to "
            f"{training.max_atoms}; train it on this data, or prepare the data with "
            f"--max-atoms {most}"
        )
    system = FlowLLM(
        drawn_by,
        moved_by,
        num_atoms_histogram(training),
        training=TrainingRanges.of(training),
        start=made_of.start,
    )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; the output needs a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / SYSTEM_FILE).is_file():
        raise InputError(
            f"{out} contains files that are not part of a system; choose another folder"
        )
    named = {role: part for role, part in places.items() if share and part is not None}
    for part in (*named.values(), _language_model_of(drawn_by)):
        if part is not None and os.path.realpath(PRETRAINED / part.model) == os.path.realpath(out):
            raise InputError(
                f"{out} holds a part that the system would name; choose another folder"
            )
    partial = hidden_neighbour(out, "partial")
    try:
        system.save_pretrained(partial, half, shipped=named, recipe=name)
        for role, log in logs.items():
            if log.is_file() and (partial / role).is_dir():  # loss curves travel with the weights
                atomic_write(partial / role / "log.jsonl", log.read_bytes())
        if (out / SYSTEM_FILE).is_file() and not overwrite:
            if _same_system(out, partial):
                return system
            raise InputError(f"{out} contains another system; use --overwrite to replace it")
        with friendly_os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            for entry in PARTS:
                remove(out / entry)
                if (partial / entry).exists():  # not every prior has every part
                    os.replace(partial / entry, out / entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return system


def _language_model_of(prior: Prior) -> PartRecord | None:
    """The shipped language model that a prior names."""
    if isinstance(prior, BasePrior) and isinstance(prior.species, WrittenSpecies):
        return prior.species.shipped
    return None


def _is_whole(prior: Prior, folder: Path) -> bool:
    """Whether a folder holds the whole prior, not only its language model."""
    return not isinstance(prior, BasePrior) or (folder / BASE).is_file()


def _log(folder: Path) -> Path:
    """The log of a training; that of a base distribution is its language model's."""
    own = folder / "log.jsonl"
    return own if own.is_file() else folder / "lm" / "log.jsonl"


def _same_system(one: Path, other: Path) -> bool:
    """Whether two folders hold the same system to the byte; read in pieces, it may be large."""
    files = _files(one)
    return files == _files(other) and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in files
    )


def _files(folder: Path) -> list[Path]:
    """The files of a system, by their paths in its folder; not a card that lies beside them."""
    files = [path for name in PARTS for path in (folder / name, *(folder / name).rglob("*"))]
    return sorted(path.relative_to(folder) for path in files if path.is_file())
