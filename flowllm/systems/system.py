"""FlowLLM: a prior and a refiner joined into one system."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.contradictions import check_together
from flowllm.conditions.ranges import TrainingRanges
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.identity import digest
from flowllm.runs.progress import Progress
from flowllm.systems import checks, recipes
from flowllm.systems.decoding_figures import count_decoding
from flowllm.systems.events import Asked, Event, Refined, Refining
from flowllm.systems.generation import Generation, Stage
from flowllm.systems.parts import SYSTEM_FILE, PartRecord
from flowllm.systems.protocols import (
    Limitable,
    Opening,
    Prior,
    Prompted,
    Refiner,
    Selective,
    Sizing,
)
from flowllm.systems.record import DEFAULT_MODEL, SystemRecord, find_model
from flowllm.systems.registry import part_class, prior_kind, refiner_kind
from flowllm.systems.sampling import DEFAULT_NUM, check_num, draw
from flowllm.systems.streaming import pulled
from flowllm.systems.watch import Stopped, Watch
from flowllm.text.prompts import prompt_of, read_prompt


class FlowLLM:
    """A prior that draws crystals and a refiner that moves them to better ones.

    Args:
        prior: the base distribution.
        refiner: what moves its crystals; None leaves them as they are.
        num_atoms_histogram: weights of 1, 2, … atoms per cell in the training data; it is as long
            as the largest cell of the system has atoms.
        name: what the system is called in the records of its runs.
        training: what the training data have of each condition; without it no condition is warned
            about. Elements that they do not have come only where they are asked for.
        start: the time in [0, 1) at which the prior's crystals enter the refiner.

    Raises:
        InputError: the histogram is empty or holds anything but weights, or the refiner takes no
            crystals of such a prior.
    """

    def __init__(
        self,
        prior: Prior,
        refiner: Refiner | None,
        num_atoms_histogram: Sequence[float],
        name: str = "own",
        training: TrainingRanges | None = None,
        start: float = 0.0,
    ) -> None:
        try:
            weights = [float(weight) for weight in num_atoms_histogram]
        except (TypeError, ValueError):
            weights = [math.nan]
        if not all(math.isfinite(w) and w >= 0 for w in weights) or not sum(weights):
            raise InputError("the histogram of atoms per cell contains no weights")
        if not 0 <= start < 1:
            raise InputError(f"start must be in [0, 1), not {start}")
        seen = [] if training is None else [s for s, n in training.elements.items() if n]
        if seen and isinstance(prior, Limitable):
            prior = prior.limited_to(seen)
        if not isinstance(prior, Opening) and isinstance(refiner, Selective):
            refiner.check_species(are_open=False)
        self.prior, self.refiner, self.name = prior, refiner, name
        self.num_atoms_histogram, self.training, self.start = weights, training, start

    # ---- files -----------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, name: str | Path = DEFAULT_MODEL, device: str = "auto") -> FlowLLM:
        """Load a system from a folder, or one that ships with the package by its name.

        Args:
            name: a folder with `system.json` and the parts that it names, or such as
                "mp20-symmetric".
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            InputError: no such model, or a damaged one.
        """
        folder = find_model(name)
        record = SystemRecord.read(folder)
        refiner = None
        if "refiner" in record.parts:
            part = record.parts["refiner"]
            place = record.place("refiner", folder)
            refiner = part_class(refiner_kind(part.kind)).load(place, device)
        part = record.parts["prior"]
        prior = part_class(prior_kind(part.kind)).load(record.place("prior", folder), device)
        called = Path(os.path.realpath(folder)).name
        try:
            return cls(
                prior, refiner, record.num_atoms_histogram, called, record.training, record.start
            )
        except InputError as error:
            raise InputError(f"{folder / SYSTEM_FILE}: {error}") from None

    def save_pretrained(
        self,
        folder: str | Path,
        half: bool = False,
        *,
        shipped: Mapping[str, PartRecord] | None = None,
        recipe: str = "",
    ) -> None:
        """Write the system so that `from_pretrained` reads it.

        Args:
            folder: made if missing.
            half: weights in float16.
            shipped: "prior" or "refiner" -> where that part lies in another model that ships with
                the package; it is named there and not written.
            recipe: name of the system's recipe; by default the first one with these kinds of parts.

        Raises:
            InputError: a part is of no registered kind.
        """
        target, elsewhere = Path(folder), shipped or {}
        written: dict[str, Prior | Refiner] = {"prior": self.prior}
        if self.refiner is not None:
            written["refiner"] = self.refiner
        own = {role: _record(role, part) for role, part in written.items()}
        with friendly_os_errors(target):
            target.mkdir(parents=True, exist_ok=True)
            for role, part in written.items():
                if role not in elsewhere:
                    part.save(target / own[role].folder, half)
        refined_by = None if self.refiner is None else self.refiner.kind
        name = recipe or recipes.name_of(self.prior.kind, refined_by)
        parts = {role: elsewhere.get(role, record) for role, record in own.items()}
        SystemRecord(parts, self.num_atoms_histogram, self.training, name, self.start).write(target)

    def digest(self) -> str:
        """The system's name and a short hash of everything that its crystals depend on."""
        parts = [json.dumps(self.num_atoms_histogram)]
        if self.training is not None:  # sizes of cells are drawn by the space group
            known = self.training.to_json()
            parts.append(json.dumps(known["space_groups"]))
            parts.append(json.dumps(list(known["elements"])))  # others are not drawn
        parts += [self.prior.kind, self.prior.digest()]
        if self.refiner is not None:
            parts += [self.refiner.kind, self.refiner.digest(), str(self.start)]
        return f"{self.name} ({digest(*parts)})"

    @property
    def max_atoms(self) -> int:
        """Atoms of the largest cell, that of the data set that it was trained on."""
        return len(self.num_atoms_histogram)

    # ---- generation ------------------------------------------------------------------------

    def generate(
        self,
        num: int | None = None,
        *,
        prompts: Sequence[str] = (),
        seed: int = 0,
        sampling: Any = None,
        refinement: Any = None,
        progress: Progress | None = None,
        **conditions: Any,
    ) -> Generation:
        """Generate crystals under any subset of the conditions.

        The conditions that the prior names as `exact` are kept to; the others only influence it
        more or less (the model card says how much).

        Args:
            num: accepted crystals; default one for each prompt, or 16.
            prompts: whole prompts, used in turn.
            seed: the same seed gives the same crystals.
            sampling: how the prior draws, an instance of its `Settings`.
            refinement: how the refiner works, an instance of its `Settings`.
            progress: callback.
            **conditions: those of `flowllm.conditions.conditions.Conditions`, such as formula,
                composition ("Sr1 Ti1 O3" or a mapping), elements ("Li,Fe,O" or a list), num_atoms,
                space_group, formation_energy, e_above_hull, band_gap.

        Raises:
            InputError: the conditions cannot be met, or no crystal comes for one of them.

        Warns:
            OutOfRangeWarning: a condition that the training data do not have, or hardly have.
        """
        count = num if num is not None else len(prompts) or DEFAULT_NUM
        check_num(count, seed)
        request = Request.read(prompts=prompts, **conditions)
        self.check(request, seed, stacklevel=2)
        return self.generate_range(range(count), request, seed, sampling, refinement, progress)

    def asked(self, request: Request, index: int, seed: int) -> Conditions:
        """The conditions of crystal `index` of a run."""
        if request.prompts:
            return read_prompt(request.prompts[index % len(request.prompts)])
        known, prior = request.conditions, self.prior
        if known.num_atoms is None and isinstance(prior, Sizing) and prior.chooses_size(known):
            return known
        return request.of_crystal(index, seed, self.num_atoms_histogram, self.training)

    def prompt(self, asked: Conditions) -> str:
        """The prompt of a crystal, as read by the prior if it reads one."""
        return self.prior.prompt(asked) if isinstance(self.prior, Prompted) else prompt_of(asked)

    def check(self, request: Request, seed: int = 0, stacklevel: int = 1) -> None:
        """Check that this system can meet a request, before any work is done.

        Args:
            request: what is asked.
            seed: of the run.
            stacklevel: of the warnings; 1 names the caller.

        Raises:
            InputError: it cannot.

        Warns:
            OutOfRangeWarning: a condition that the training data do not have, or hardly have; one
                warning for each.
            RemarkWarning: a formula is read as another, D as H.
        """
        check_together(request.conditions, self.max_atoms)
        first = self.asked(request, 0, seed)
        prompts = [read_prompt(prompt) for prompt in dict.fromkeys(request.prompts)]
        for asked in prompts or [first]:
            checks.check_asked(self.prior, asked, self.max_atoms)
            checks.check_species(self.prior, self.refiner, asked)
        asked_for = [request.conditions, *prompts]
        checks.remark_on(asked_for, dict.fromkeys(request.prompts), self.max_atoms)
        if self.training is not None:
            checks.warn_outside(self.training, asked_for, stacklevel + 1)

    def generate_range(
        self,
        indices: range,
        request: Request,
        seed: int = 0,
        sampling: Any = None,
        refinement: Any = None,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> Generation:
        """Some of the crystals of a run, by position; a run may be split anywhere."""
        watch = watch or Watch()
        asked = [self.asked(request, i, seed) for i in indices]
        settings = checks.settings_of(self.prior, sampling)
        began = time.perf_counter()
        with count_decoding() as decoding:
            counted = _counting(watch, progress, self.prior.label, len(asked))
            found = draw(self.prior, indices, asked, seed, settings, counted)
        prior = found.crystals
        drawn = time.perf_counter()
        stages = [Stage(self.prior.label, len(prior), found.rejected, drawn - began)]
        trajectory = self.refine(
            prior, refinement, progress, watch, seeds=found.seeds, start=self.start
        )
        if self.refiner is not None:
            seconds = time.perf_counter() - drawn
            stages.append(Stage(self.refiner.label, len(prior), 0, seconds))
        prompts = [self.prompt(conditions) for conditions in asked]
        return Generation(prompts, prior, trajectory, stages, decoding)

    def refine(
        self,
        crystals: CrystalBatch,
        settings: Any = None,
        progress: Progress | None = None,
        watch: Watch | None = None,
        *,
        seeds: Sequence[int] | None = None,
        start: float = 0.0,
    ) -> Trajectory:
        """Refine any crystals; they should be primitive and Niggli-reduced.

        Args:
            crystals: B crystals.
            settings: an instance of the refiner's `Settings`.
            progress: callback.
            watch: receives events, and is asked whether to stop.
            seeds: B seeds; default 0, 1, 2, … What was drawn by this system's prior is refined with
                the seeds of the accepted attempts.
            start: the time at which they enter.
        """
        if self.refiner is None:
            return Trajectory.from_frames([0.0], [crystals])
        given = range(len(crystals)) if seeds is None else seeds
        counted = _counting(watch or Watch(), progress, self.refiner.label, len(crystals))
        chosen = checks.settings_of(self.refiner, settings)
        return self.refiner.refine(crystals, chosen, list(given), counted, start)

    # ---- events ----------------------------------------------------------------------------

    def stream(
        self,
        num: int | None = None,
        *,
        prompts: Sequence[str] = (),
        seed: int = 0,
        sampling: Any = None,
        refinement: Any = None,
        alternatives: int = 8,
        stop: Callable[[], bool] | None = None,
        **conditions: Any,
    ) -> Iterator[Event | Refining]:
        """The crystals of `generate`, reported as they are made.

        First comes what is asked. Then all crystals are drawn side by side: a language model
        reports the sentences that it adds, its tokens, and each crystal at its last token; what is
        rejected is drawn again. When all are there, they are refined together.

        Args:
            num: as for `generate`, and so are prompts, seed, sampling, refinement and conditions.
            prompts: whole prompts, used in turn.
            seed: the same seed gives the same crystals.
            sampling: how the prior draws.
            refinement: how the refiner works.
            alternatives: tokens reported at each place; with 0 no token is.
            stop: asked before each step of either part; True ends the events there.
            **conditions: what is asked.

        Returns:
            An iterator; what is asked is checked at this call, before its first event.

        Raises:
            InputError: the conditions cannot be met; or, on the way, no crystal comes for one.

        Warns:
            OutOfRangeWarning: a condition that the training data do not have, or hardly have.
        """
        count = num if num is not None else len(prompts) or DEFAULT_NUM
        check_num(count, seed)
        if alternatives < 0:
            raise InputError(f"the number of alternatives must be at least 0, not {alternatives}")
        request = Request.read(prompts=prompts, **conditions)
        self.check(request, seed, stacklevel=2)
        asked = [self.asked(request, index, seed) for index in range(count)]
        settings = checks.settings_of(self.prior, sampling)

        def work(push: Callable[[Event | Refining], None]) -> None:
            watch = Watch(on_event=push, stop=stop, alternatives=alternatives)
            try:
                for index, conditions in enumerate(asked):
                    push(Asked(index, conditions, self.prompt(conditions)))
                watch.step()
                found = draw(self.prior, range(count), asked, seed, settings, watch)
                prior = found.crystals
                push(Refining(len(prior)))
                watch.step()
                trajectory = self.refine(
                    prior, refinement, watch=watch, seeds=found.seeds, start=self.start
                )
            except Stopped:
                return
            for index, crystal in enumerate(prior):
                push(Refined(index, crystal, trajectory.crystal(index)))

        return pulled(work)


def _counting(watch: Watch, progress: Progress | None, label: str, total: int) -> Watch:
    """A watch that also counts finished crystals for a progress bar."""
    if progress is None:
        return watch
    report, before, done = progress, watch.on_finished, 0

    def finished(count: int) -> None:
        nonlocal done
        done = min(done + count, total)
        report(label, done, total)
        if before is not None:
            before(count)

    return Watch(finished, watch.on_event, watch.stop, watch.alternatives)


def _record(role: str, part: Prior | Refiner) -> PartRecord:
    """The record of a part in `system.json`.

    Raises:
        InputError: it could not be loaded again.
    """
    try:
        kind = (prior_kind if role == "prior" else refiner_kind)(part.kind)
        known = isinstance(part, part_class(kind))
    except (InputError, AttributeError):
        known = False
    if not known:
        name = type(part).__name__
        raise InputError(f"only a {role} of a registered kind can be saved, not a {name}")
    return PartRecord(part.kind, role)
