"""The run that samples the prior for training crystals, and pairs them with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.flow.couplings.chunk import PairPlan
from flowllm.methods.flow.couplings.files import join_pairs, write_perturbed
from flowllm.methods.flow.couplings.sample import chunk_files, sample_pairs
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.runs.identity import flat_settings, open_run
from flowllm.training.device import resolve_device
from flowllm.workflows.train.source import LANGUAGE_MODEL, PriorSource, make_prior

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
        alignment: "translation", "hungarian" or "list", as in `couplings.alignment.align`.
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
        prior_kind: a kind of prior.
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
        lm=prior.digest(),
        data=str(data),
        targets=targets.digest(),
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
                processes=processes,
                executor=executor,
                run=run,
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
