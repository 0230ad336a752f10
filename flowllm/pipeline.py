"""The stages of training on disk: language model, pairs, flow, and both joined into a system.

Each stage reads the folder of the one before it, writes its own, and goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.checkpoint import atomic_write, friendly_os_errors
from flowllm.crystal import MAX_ATOMS
from flowllm.data import CrystalSet, load_dataset
from flowllm.data.sources import SPLITS
from flowllm.errors import InputError
from flowllm.flow import FlowRefiner, FlowTrainSettings, PairSet, train_flow
from flowllm.flow.pair_chunk import PairPlan
from flowllm.flow.pair_files import join_pairs, write_perturbed
from flowllm.flow.pairing import chunk_files, fingerprint, sample_pairs
from flowllm.flow.velocity import resolve_device
from flowllm.lm.build import build_compact
from flowllm.lm.prior import LanguageModelPrior, load_as_stored
from flowllm.lm.settings import CompactConfig, LMTrainSettings, SamplingSettings
from flowllm.lm.train import train_lm
from flowllm.model import FlowLLM
from flowllm.priors import make_prior
from flowllm.priors.source import PriorSource
from flowllm.priors.store import LANGUAGE_MODEL, TRAINING, prior_digest
from flowllm.processes import compute_on, from_main, open_shared_run, process_count
from flowllm.run_folder import RUN, RunFolder
from flowllm.runs import flat_settings, open_run
from flowllm.system_file import SYSTEM_FILE
from flowllm.text.prompts import Conditions, build_prompt
from flowllm.text.ranges import TrainingRanges
from flowllm.text.tokenizer import build_tokenizer

PAIRS = "pairs.npz"
ALIGNMENTS = ("translation", "hungarian", "list")


@dataclass(frozen=True)
class PairSettings:
    """How pairs are made.

    Attributes:
        sampling: how the language model draws.
        num_pairs: draws of a target.
        samples_per_target: samples drawn for one target.
        keep: "closest" keeps the sample closest to its target, "all" every one.
        perturbed: how many pairs of a noisy copy and its target are added.
        alignment: "translation", "hungarian" or "list", as in `flowllm.flow.alignment.align`.
        seed: of everything random.
        chunk_size: draws that are finished, and kept, together.

    Raises:
        InputError: a value out of its range.
    """

    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    num_pairs: int = 24_000
    samples_per_target: int = 2
    keep: str = "closest"
    perturbed: int = 0
    alignment: str = "translation"
    seed: int = 0
    chunk_size: int = 256

    def __post_init__(self) -> None:
        for name in ("num_pairs", "samples_per_target", "chunk_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.perturbed < 0:
            raise InputError(f"perturbed must be at least 0, not {self.perturbed}")
        if self.keep not in ("closest", "all"):
            raise InputError(f"keep must be closest or all, not {self.keep!r}")
        if self.alignment not in ALIGNMENTS:
            raise InputError(f"no alignment {self.alignment!r}; there are {', '.join(ALIGNMENTS)}")
        if self.seed < 0:
            raise InputError(f"the seed must be at least 0, not {self.seed}")

    @property
    def plan(self) -> PairPlan:
        """Which pairs, for those who know nothing of language models."""
        return PairPlan(
            self.num_pairs,
            self.seed,
            self.chunk_size,
            self.samples_per_target,
            self.keep,
            self.alignment,
        )


def train_compact(
    data: str | Path,
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
    if settings.seed < 0:
        raise InputError(f"the seed must be at least 0, not {settings.seed}")
    place = str(resolve_device(device))
    compute_on(place)
    train, validation = training_splits(data)
    identity = flat_settings(
        settings,
        data=str(data),
        crystals=fingerprint(train.crystals) + fingerprint(validation.crystals),
        **asdict(config),
    )
    identity.pop("threads")  # how fast, not what
    with open_shared_run(out, "train-lm", identity, overwrite, inputs=[data]) as run:
        if run.finished:
            return dict(run.record["figures"])
        tokenizer = build_tokenizer()
        model = build_compact(tokenizer, config, settings.seed)
        figures = train_lm(
            model,
            tokenizer,
            train,
            validation,
            run.path,
            settings,
            device=place,
            progress=progress,
        )
        run.finish(figures=figures, training_crystals=len(train))
    return figures


def training_splits(data: str | Path) -> tuple[CrystalSet, CrystalSet]:
    """What is trained on and what is held out.

    One's own data without a split "val" give every twentieth crystal for it. Of several processes
    one prepares what must be prepared.

    Raises:
        InputError: no such data, or too few to hold any out.
    """
    if process_count() > 1:
        from_main(lambda: _splits(data) and None)
    return _splits(data)


def _splits(data: str | Path) -> tuple[CrystalSet, CrystalSet]:
    train = load_dataset(data, "train")
    if str(data) in SPLITS or (Path(data) / "val.npz").is_file():
        return train, load_dataset(data, "val")
    if len(train) < 2:
        raise InputError(f"{data} holds {len(train)} crystals; training needs at least 2")
    held_out = np.arange(len(train)) % 20 == min(19, len(train) - 1)
    return train[~held_out], train[held_out]


def composition_prompt(composition: dict[str, int]) -> str:
    """The prompt for one cell composition."""
    return build_prompt(Conditions(composition=composition))


def make_pairs(
    lm: str | Path,
    data: str | Path,
    out: Path,
    settings: PairSettings | None = None,
    *,
    prior_kind: str = LANGUAGE_MODEL,
    device: str = "auto",
    processes: int = 1,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Sample the prior for training crystals' compositions and align; `pairs.npz`.

    The pairs are the same to the bit whatever the number of processes.

    Args:
        lm: folder of the language model.
        data: the data set, whose training split gives the targets.
        out: folder of the run.
        settings: which pairs.
        prior_kind: a name in `flowllm.priors.KINDS`.
        device: where the model computes.
        processes: spawned ones, each with one thread and a model of its own.
        executor: any `concurrent.futures` executor instead; on other machines `lm`, and `data`
            where the prior needs it, must lie at the same place.
        overwrite: replace another run.
        progress: called with (draws done, draws in all).

    Returns:
        Counts, the mean squared torus distance in list order and aligned, and the speed.

    Raises:
        InputError: no such model or data, or the folder holds another run.
    """
    settings = settings or PairSettings()
    if processes < 1:
        raise InputError(f"processes must be at least 1, not {processes}")
    language_model = LanguageModelPrior.from_pretrained(lm, str(resolve_device(device)))
    targets = load_dataset(data, "train").crystals
    prior = make_prior(prior_kind, language_model, targets)
    identity = flat_settings(
        settings,
        lm=prior_digest(prior),
        data=str(data),
        targets=fingerprint(targets),
    )
    alone = executor is None and processes == 1
    with open_run(out, "pair", identity, overwrite, inputs=[lm, data]) as run:
        if run.finished and (run.path / PAIRS).is_file():
            return dict(run.record["summary"])
        with friendly_os_errors(run.path):
            summary = sample_pairs(
                targets,
                prior if alone else PriorSource.of(prior, prior_kind, lm, data, device),
                settings.sampling,
                run.path / "chunks",
                settings.plan,
                progress,
                prompt_for=composition_prompt,
                processes=processes,
                executor=executor,
            )
            if not summary["pairs"]:
                raise InputError(f"{lm} gave no crystal of the composition asked for; no pairs")
            files = chunk_files(run.path / "chunks", settings.plan)
            noisy = write_perturbed(targets, settings.perturbed, settings.seed, files[0].parent)
            atomic_write(run.path / PAIRS, lambda handle: join_pairs([*files, *noisy], handle))
            for file in noisy:
                file.unlink()
        run.finish(summary=summary)
    return summary


def train_on_pairs(
    pairs: Path,
    out: Path,
    settings: FlowTrainSettings,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FlowRefiner:
    """Train the flow on a folder of pairs.

    Raises:
        InputError: no pairs there, or the folder holds another run; the loss is not finite.
    """
    if not (pairs / PAIRS).is_file() or (
        (pairs / RUN).is_file() and RunFolder.read(pairs)["status"] != "finished"
    ):
        raise InputError(f"{pairs} holds no {PAIRS}; `flowllm pair` writes it when it is finished")
    resolve_device(settings.device)
    content = PairSet.load(pairs / PAIRS)
    if len(content) < 2:
        raise InputError(f"{pairs} holds {len(content)} pairs; training needs at least 2")
    identity = {
        name: value for name, value in flat_settings(settings).items() if name in _binding(settings)
    }
    identity["pairs"] = fingerprint(content.c0) + fingerprint(content.c1)
    with open_run(out, "train-flow", identity, overwrite, inputs=[pairs]) as run:
        if run.finished and (run.path / "model").is_dir():
            return FlowRefiner.from_pretrained(run.path / "model", settings.device)
        try:
            with friendly_os_errors(run.path):
                refiner = train_flow(content, settings, run.path, progress)
        except FloatingPointError as error:
            raise InputError(str(error)) from None
        run.finish(pairs_trained_on=len(content))
    return refiner


def _binding(settings: FlowTrainSettings) -> set[str]:
    """The settings that a run may not change half-way, the network's among them."""
    return {*settings.binding(), *asdict(settings.network)}


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

    Args:
        lm: folder of the language model.
        flow: folder that training wrote, or its `model/`.
        data: whose training split says how often a cell has 1, 2, … atoms, and which values of
            each condition it has.
        out: the system's folder; other files in it, such as a model card, stay.
        prior_kind: a name in `flowllm.priors.KINDS`.
        half: weights in float16.
        overwrite: replace the system in `out`.

    Raises:
        InputError: a part is missing or damaged, or `out` cannot be used.
    """
    trained = flow / "model" if (flow / "model").is_dir() else flow
    language_model = load_as_stored(lm)
    refiner = FlowRefiner.from_pretrained(trained, "cpu")
    training = load_dataset(data, "train")
    system = FlowLLM(
        make_prior(prior_kind, language_model, training.crystals),
        refiner,
        num_atoms_histogram(training),
        training=TrainingRanges.of(training),
    )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; the output needs a folder")
    names = ("lm", "flow", TRAINING, SYSTEM_FILE)
    if out.is_dir() and any(out.iterdir()):
        if not (out / SYSTEM_FILE).is_file():
            raise InputError(f"{out} holds files that are no system; choose another output folder")
        if not overwrite:
            raise InputError(f"{out} holds a system; use --overwrite to replace it")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        system.save_pretrained(partial, half)
        for folder, name in ((lm, "lm"), (trained.parent, "flow")):
            log = folder / "log.jsonl"
            if log.is_file() and (partial / name).is_dir():  # loss curves travel with the weights
                atomic_write(partial / name / "log.jsonl", log.read_bytes())
        with friendly_os_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            for name in names:
                if (out / name).is_dir():
                    shutil.rmtree(out / name)
                else:
                    (out / name).unlink(missing_ok=True)
                if (partial / name).exists():  # not every prior has every part
                    os.replace(partial / name, out / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return system


def num_atoms_histogram(data: CrystalSet) -> list[int]:
    """How many crystals have 1, 2, … atoms in the cell."""
    return np.bincount(data.crystals.num_atoms, minlength=MAX_ATOMS + 1)[1:].tolist()
