"""The stages of training on disk: language model, pairs, flow, and both joined into a system.

Each stage reads the folder of the one before it, writes its own, and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.checkpoint import RunFolder, atomic_write, read_json
from flowllm.crystal import MAX_ATOMS
from flowllm.data import CrystalSet, load_dataset
from flowllm.errors import InputError
from flowllm.flow import FlowRefiner, FlowTrainSettings, PairSet, build_pairs, train_flow
from flowllm.flow.velocity import resolve_device
from flowllm.lm.build import CompactConfig, build_compact
from flowllm.lm.decode import SamplingSettings
from flowllm.lm.prior import LanguageModelPrior
from flowllm.lm.train import LMTrainSettings, train_lm
from flowllm.model import FlowLLM
from flowllm.text.prompts import Conditions, build_prompt
from flowllm.text.tokenizer import build_tokenizer

PAIRS = "pairs.npz"


def train_compact(
    data: str,
    out: Path,
    config: CompactConfig,
    settings: LMTrainSettings,
    *,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, float]:
    """Train a compact language model from scratch on a data set.

    Returns:
        Validation figures: nats per token and per crystal, perplexity.

    Raises:
        InputError: no such data, or the folder holds another run.
    """
    train, validation = load_dataset(data, "train"), load_split_or(data, "val")
    identity = {"data": data, **asdict(config), **asdict(settings)}
    with RunFolder.open(out, "train-lm", identity, overwrite) as run:
        if run.finished:
            return dict(run.record["figures"])
        tokenizer = build_tokenizer()
        model = build_compact(tokenizer, config, settings.seed)
        figures = train_lm(
            model, tokenizer, train, validation, out, settings,
            device=str(resolve_device(device)), progress=progress,
        )  # fmt: skip
        run.finish(figures=figures, training_crystals=len(train))
    return figures


def load_split_or(data: str, split: str) -> CrystalSet:
    """A split, or where one's own data have none, the last twentieth of the training split."""
    try:
        return load_dataset(data, split)
    except InputError:
        train = load_dataset(data, "train")
        return train[-max(1, len(train) // 20) :]


def composition_prompt(composition: dict[str, int]) -> str:
    """The prompt for one cell composition."""
    return build_prompt(Conditions(composition=composition))


def make_pairs(
    lm: Path,
    data: str,
    out: Path,
    sampling: SamplingSettings,
    *,
    num_pairs: int,
    samples_per_target: int,
    keep: str,
    alignment: str,
    seed: int,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Sample the language model for training crystals' compositions and align; `pairs.npz`.

    Returns:
        Counts and the mean squared torus distance in list order and aligned.

    Raises:
        InputError: no such model or data, or the folder holds another run.
    """
    prior = LanguageModelPrior.from_pretrained(lm, str(resolve_device(device)))
    targets = load_dataset(data, "train").crystals
    identity = {
        "lm": str(lm), "data": data, **asdict(sampling), "num_pairs": num_pairs, "seed": seed,
        "samples_per_target": samples_per_target, "keep": keep, "alignment": alignment,
    }  # fmt: skip
    with RunFolder.open(out, "pair", identity, overwrite) as run:
        pairs = build_pairs(
            targets, prior, sampling, out / "chunks", num_pairs, seed,
            samples_per_target=samples_per_target, keep=keep, progress=progress,
            prompt_for=composition_prompt, alignment=alignment,
        )  # fmt: skip
        pairs.save(out / PAIRS)
        summary: dict[str, Any] = read_json(out / "chunks" / "summary.json")
        run.finish(summary=summary)
    return summary


def train_on_pairs(
    pairs: Path,
    out: Path,
    settings: FlowTrainSettings,
    progress: Callable[[int, int], None] | None = None,
) -> FlowRefiner:
    """Train the flow on a folder of pairs.

    Raises:
        InputError: no pairs there, or the folder holds another run.
    """
    if not (pairs / PAIRS).is_file():
        raise InputError(f"{pairs} holds no {PAIRS}; `flowllm pair` writes it when it is finished")
    return train_flow(PairSet.load(pairs / PAIRS), settings, out, progress)


def combine(lm: Path, flow: Path, data: str, out: Path, *, half: bool, overwrite: bool) -> FlowLLM:
    """Join a language model and a flow into a folder that `FlowLLM.from_pretrained` reads."""
    source = flow / "model" if (flow / "model").is_dir() else flow
    system = FlowLLM(
        LanguageModelPrior.from_pretrained(lm),
        FlowRefiner.from_pretrained(source, "cpu"),
        num_atoms_histogram(load_dataset(data, "train")),
    )
    if out.exists() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} is not empty; use --overwrite")
    system.save_pretrained(out, half)
    for folder, name in ((lm, "lm"), (flow, "flow")):
        log = folder / "log.jsonl"
        if log.is_file():  # loss curves travel with the weights
            atomic_write(out / name / "log.jsonl", log.read_bytes())
    return system


def num_atoms_histogram(data: CrystalSet) -> list[int]:
    """How many crystals have 1, 2, … atoms in the cell."""
    return np.bincount(data.crystals.num_atoms, minlength=MAX_ATOMS + 1)[1:].tolist()
