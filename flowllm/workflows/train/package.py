"""Both parts joined into a system on disk."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from flowllm.conditions.ranges import TrainingRanges
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.flow import FlowRefiner
from flowllm.methods.language_model.prior import load_as_stored
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.systems.record import ROLES, SYSTEM_FILE
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.source import LANGUAGE_MODEL, make_prior
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
    half: bool = True,
    overwrite: bool = False,
) -> FlowLLM:
    """Join a language model and a flow into a folder that `FlowLLM.from_pretrained` reads.

    A folder that holds the very system already is left as it is.

    Args:
        lm: folder of the language model.
        flow: folder that training wrote, or its `model/`.
        data: whose training split says how often a cell has 1, 2, … atoms, and which values of
            each condition it has.
        out: the system's folder; other files in it, such as a model card, stay.
        prior_kind: a kind of prior.
        half: weights in float16.
        overwrite: replace the system in `out`.

    Raises:
        InputError: a part is missing or damaged, `out` cannot be used or holds another system.
    """
    trained = flow / "model" if (flow / "model").is_dir() else flow
    language_model = load_as_stored(lm)
    refiner = FlowRefiner.from_pretrained(trained, "cpu")
    training = load_dataset(data, "train")
    most = language_model.format.max_atoms
    if most < training.max_atoms:
        raise InputError(
            f"{lm} writes cells of up to {most} atoms, and the data set {data} has up to "
            f"{training.max_atoms}; train it on this data, or prepare the data with "
            f"--max-atoms {most}"
        )
    system = FlowLLM(
        make_prior(prior_kind, language_model, training.crystals),
        refiner,
        num_atoms_histogram(training),
        training=TrainingRanges.of(training),
    )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; the output needs a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / SYSTEM_FILE).is_file():
        raise InputError(f"{out} holds files that are no system; choose another output folder")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        system.save_pretrained(partial, half)
        for folder, name in ((lm, "prior"), (trained.parent, "refiner")):
            log = folder / "log.jsonl"
            if log.is_file() and (partial / name).is_dir():  # loss curves travel with the weights
                atomic_write(partial / name / "log.jsonl", log.read_bytes())
        if (out / SYSTEM_FILE).is_file() and not overwrite:
            if _same_system(out, partial):
                return system
            raise InputError(f"{out} holds another system; use --overwrite to replace it")
        with friendly_os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            for name in PARTS:
                if (out / name).is_dir():
                    shutil.rmtree(out / name)
                else:
                    (out / name).unlink(missing_ok=True)
                if (partial / name).exists():  # not every prior has every part
                    os.replace(partial / name, out / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return system


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
