"""FlowLLM: a prior and a refiner joined into one system."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flowllm.conditions.check import conditions_of, warn_outside
from flowllm.conditions.ranges import TrainingRanges
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.base.prior import TypedPrior
from flowllm.methods.flow.refiner import FlowRefiner, RefineSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.identity import digest, weights_digest
from flowllm.systems.decoding_figures import count_decoding
from flowllm.systems.generation import Generation, Prior, Progress, Refiner, Stage
from flowllm.systems.priors import kind_of, load_prior, prior_digest, save_prior
from flowllm.systems.record import DEFAULT_MODEL, SYSTEM_FILE, SystemFile, find_model
from flowllm.systems.sampling import DEFAULT_NUM, check_num, draw

if TYPE_CHECKING:
    from flowllm.systems.streaming import Event


class FlowLLM:
    """A prior that draws crystals from prompts and a refiner that moves them to better ones.

    Args:
        prior: the base distribution.
        refiner: the flow.
        num_atoms_histogram: weights of 1, 2, … atoms per cell in the training data.
        name: what the system is called in the records of its runs.
        training: what the training data have of each condition; without it no condition is warned
            about.

    Raises:
        InputError: the histogram is empty or holds anything but weights.
    """

    def __init__(
        self,
        prior: Prior,
        refiner: Refiner,
        num_atoms_histogram: Sequence[float],
        name: str = "own",
        training: TrainingRanges | None = None,
    ) -> None:
        try:
            weights = [float(weight) for weight in num_atoms_histogram]
        except (TypeError, ValueError):
            weights = [math.nan]
        if not all(math.isfinite(w) and w >= 0 for w in weights) or not sum(weights):
            raise InputError("the histogram of atoms per cell holds no weights")
        self.prior, self.refiner, self.name = prior, refiner, name
        self.num_atoms_histogram = weights
        self.training = training

    @classmethod
    def from_pretrained(cls, name: str | Path = DEFAULT_MODEL, device: str = "auto") -> FlowLLM:
        """Load a system from a folder, or one that ships with the package by its name.

        Args:
            name: a folder with `system.json`, `lm/` and `flow/`, or such as "mp20-compact".
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            InputError: no such model, or a damaged one.
        """
        folder = find_model(name)
        system = SystemFile.read(folder)
        refiner = FlowRefiner.from_pretrained(folder / "flow", device)
        prior = load_prior(folder, system.prior, str(refiner.device))
        histogram, called = system.num_atoms_histogram, folder.resolve().name
        try:
            return cls(prior, refiner, histogram, called, system.training)
        except InputError as error:
            raise InputError(f"{folder / SYSTEM_FILE}: {error}") from None

    def save_pretrained(self, folder: str | Path, half: bool = False) -> None:
        """Write the system so that `from_pretrained` reads it; weights in float16 where `half`."""
        kind_of(self.prior)
        if not isinstance(self.refiner, FlowRefiner):
            raise InputError("only a Riemannian flow can be saved")
        target = Path(folder)
        with friendly_os_errors(target):
            target.mkdir(parents=True, exist_ok=True)
            about = save_prior(self.prior, target, half)
            self.refiner.save_pretrained(target / "flow", half)
        SystemFile(self.num_atoms_histogram, self.training, about).write(target)

    def fingerprint(self) -> str:
        """The system's name and a short hash of what its crystals depend on."""
        parts = [json.dumps(self.num_atoms_histogram)]
        if self.training is not None:  # sizes of cells are drawn by the space group
            parts.append(json.dumps(self.training.to_json()["space_groups"]))
        if isinstance(self.prior, LanguageModelPrior | TypedPrior):
            parts.append(prior_digest(self.prior))
        network = getattr(self.refiner, "velocity", None)
        if isinstance(network, torch.nn.Module):
            parts.append(weights_digest(network, str(getattr(network, "statistics", ""))))
        return f"{self.name} ({digest(*parts)})"

    def generate(
        self,
        num: int | None = None,
        *,
        formula: str | None = None,
        composition: str | Mapping[str, int] | None = None,
        elements: str | Sequence[str] | None = None,
        num_atoms: int | None = None,
        space_group: int | None = None,
        formation_energy: float | None = None,
        e_above_hull: float | None = None,
        band_gap: float | None = None,
        prompts: Sequence[str] = (),
        seed: int = 0,
        sampling: SamplingSettings | None = None,
        refinement: RefineSettings | None = None,
        progress: Progress | None = None,
    ) -> Generation:
        """Generate crystals; any subset of the conditions can be asked, see `Request`.

        Composition, formula, elements and number of atoms are kept to exactly where the prior's
        decoding is constrained; the others are only told to the model, which heeds them more or
        less (the model card says how much).

        Args:
            num: accepted crystals; default one for each prompt, or 16.
            formula: exactly this reduced formula, in any number of formula units.
            composition: exactly these atoms in the primitive cell, as in "Sr1 Ti1 O3".
            elements: exactly these elements, as a list or as in "Li,Fe,O".
            num_atoms: atoms in the primitive cell.
            space_group: international number, 1 to 230.
            formation_energy: eV/atom.
            e_above_hull: energy above the convex hull, eV/atom.
            band_gap: eV.
            prompts: whole prompts, used in turn.
            seed: the same seed gives the same crystals.
            sampling: how the language model draws.
            refinement: how the flow is integrated.
            progress: callback.

        Raises:
            InputError: the wishes cannot be met, or no crystal comes for a prompt.

        Warns:
            OutOfRangeWarning: a condition that the training data do not have, or hardly have.
        """
        count = num if num is not None else len(prompts) or DEFAULT_NUM
        check_num(count, seed)
        request = Request.read(
            formula=formula, composition=composition, elements=elements, num_atoms=num_atoms,
            space_group=space_group, formation_energy=formation_energy,
            e_above_hull=e_above_hull, band_gap=band_gap, prompts=prompts,
        )  # fmt: skip
        self.check(request, seed, stacklevel=2)
        return self.generate_range(range(count), request, seed, sampling, refinement, progress)

    def stream(self, num: int | None = None, **wishes: Any) -> Iterator[Event]:
        """The crystals of `generate`, told as they come about; see `systems.streaming.stream`."""
        from flowllm.systems.streaming import stream

        return stream(self, num, **wishes)

    def prompt_for(self, request: Request, index: int, seed: int) -> str:
        """The prompt of crystal `index` of a run."""
        return request.prompt(index, seed, self.num_atoms_histogram, self.training)

    def check(self, request: Request, seed: int = 0, stacklevel: int = 1) -> None:
        """See whether this system can meet a request, before any work is done.

        Args:
            request: what is asked.
            seed: of the run.
            stacklevel: of the warnings; 1 names the caller.

        Raises:
            InputError: it cannot.

        Warns:
            OutOfRangeWarning: a condition that the training data do not have, or hardly have; one
                warning for each.
        """
        self.prompt_for(request, 0, seed)
        asked = [request.conditions, *conditions_of(self.prior, request.prompts)]
        if self.training is not None:
            warn_outside(self.training, asked, stacklevel + 1)

    def generate_range(
        self,
        indices: range,
        request: Request,
        seed: int = 0,
        sampling: SamplingSettings | None = None,
        refinement: RefineSettings | None = None,
        progress: Progress | None = None,
    ) -> Generation:
        """Some of the crystals of a run, by their positions; a run may be cut anywhere."""
        sampling, refinement = sampling or SamplingSettings(), refinement or RefineSettings()
        prompts = [self.prompt_for(request, i, seed) for i in indices]
        began = time.perf_counter()
        with count_decoding() as decoding:
            prior, rejected = draw(self.prior, indices, prompts, seed, sampling, progress)
        drawn = time.perf_counter()
        trajectory = self.refine(prior, refinement, progress)
        ended = time.perf_counter()
        stages = [
            Stage("language model", len(prior), rejected, drawn - began),
            Stage("Riemannian flow", len(prior), 0, ended - drawn),
        ]
        return Generation(prompts, prior, trajectory, stages, decoding)

    def refine(
        self,
        crystals: CrystalBatch,
        settings: RefineSettings | None = None,
        progress: Progress | None = None,
    ) -> Trajectory:
        """Refine crystals from anywhere; they should be primitive and Niggli-reduced."""
        if progress is None:
            return self.refiner.refine(crystals, settings or RefineSettings())
        report = progress
        return self.refiner.refine(  # type: ignore[call-arg]
            crystals,
            settings or RefineSettings(),
            progress=lambda done, total: report("Riemannian flow", done, total),
        )
