"""FlowLLM at work, event by event: outline, tokens, the prior's crystal, the refined one.

`stream` gives the crystals of `FlowLLM.generate`: of one seed and the same settings, crystal i is
the same crystal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.flow.refiner import RefineSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.language_model.stream import (
    Alternative,
    Drawn,
    LMEvent,
    Rejected,
    Sentence,
    Token,
    Watch,
    stream_sample,
)
from flowllm.systems.sampling import (
    DEFAULT_NUM,
    MAX_TRIES,
    check_num,
    crystal_id,
    crystal_seed,
    draw,
    gave_up,
)

if TYPE_CHECKING:
    from flowllm.systems.system import FlowLLM

__all__ = [
    "Alternative",
    "Asked",
    "Drawn",
    "Event",
    "Refined",
    "Refining",
    "Rejected",
    "Sentence",
    "Token",
    "stream",
]


@dataclass(frozen=True)
class Asked:
    """What is asked for crystal `index`: its prompt."""

    index: int
    prompt: str


@dataclass(frozen=True)
class Refining:
    """All crystals are drawn and the flow sets in: how many."""

    crystals: int


@dataclass(frozen=True)
class Refined:
    """A crystal at its end: as the prior drew it, and its way to the refined one."""

    index: int
    prior: CrystalBatch
    trajectory: Trajectory


Event = Asked | LMEvent | Refining | Refined


class _Stopped(Exception):
    """The caller asked for an end."""


def stream(
    system: FlowLLM,
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
    alternatives: int = 8,
    stop: Callable[[], bool] | None = None,
) -> Iterator[Event]:
    """Generate crystals and tell how; the wishes and settings are those of `FlowLLM.generate`.

    First come the prompts. Then all crystals are written side by side: sentences of the outline,
    tokens, and each crystal at its last token. What is rejected is drawn again. When all are there,
    the flow refines them together. Of a prior that is no language model only the crystals are told.

    Args:
        system: the model.
        num: accepted crystals; default one for each prompt, or 16.
        formula: exactly this reduced formula.
        composition: exactly these atoms in the primitive cell.
        elements: exactly these elements.
        num_atoms: atoms in the primitive cell.
        space_group: international number.
        formation_energy: eV/atom.
        e_above_hull: eV/atom.
        band_gap: eV.
        prompts: whole prompts, used in turn.
        seed: the same seed gives the same crystals.
        sampling: how the language model draws.
        refinement: how the flow is integrated.
        alternatives: tokens told at each place; with 0 no token is told.
        stop: asked before each token and at each step of the flow; True ends the events there.

    Returns:
        An iterator; what is asked is checked at this call, before its first event.

    Raises:
        InputError: the wishes cannot be met; or, on the way, no crystal comes for a prompt.

    Warns:
        OutOfRangeWarning: a condition that the training data do not have, or hardly have.
    """
    count = num if num is not None else len(prompts) or DEFAULT_NUM
    check_num(count, seed)
    if alternatives < 0:
        raise InputError(f"the number of alternatives must be at least 0, not {alternatives}")
    request = Request.read(
        formula=formula, composition=composition, elements=elements, num_atoms=num_atoms,
        space_group=space_group, formation_energy=formation_energy, e_above_hull=e_above_hull,
        band_gap=band_gap, prompts=prompts,
    )  # fmt: skip
    system.check(request, seed, stacklevel=3)
    asked = [system.prompt_for(request, index, seed) for index in range(count)]

    def check() -> None:
        if stop is not None and stop():
            raise _Stopped

    settings = sampling or SamplingSettings(), refinement or RefineSettings()
    return _events(system, asked, seed, *settings, Watch(alternatives, check))


def _events(
    system: FlowLLM,
    prompts: list[str],
    seed: int,
    sampling: SamplingSettings,
    refinement: RefineSettings,
    watch: Watch,
) -> Iterator[Event]:
    yield from (Asked(index, prompt) for index, prompt in enumerate(prompts))
    drawn: dict[int, CrystalBatch] = {}
    try:
        for event in _drawn(system, prompts, seed, sampling, watch):
            if isinstance(event, Drawn):
                crystal = event.crystal.replace(ids=[crystal_id(event.index)])
                drawn[event.index] = crystal
                event = Drawn(event.index, event.attempt, event.text, crystal)
            yield event
        prior = CrystalBatch.concatenate(drawn[index] for index in range(len(prompts)))
        yield Refining(len(prior))
        watch.check()
        options: dict[str, Any] = {}
        if "on_step" in inspect.signature(system.refiner.refine).parameters:
            options["on_step"] = watch.check
        trajectory = system.refiner.refine(prior, refinement, **options)
    except _Stopped:
        return
    for index, crystal in enumerate(prior):
        yield Refined(index, crystal, trajectory.crystal(index))


def _drawn(
    system: FlowLLM, prompts: list[str], seed: int, sampling: SamplingSettings, watch: Watch
) -> Iterator[LMEvent]:
    """One accepted crystal for each prompt; the tries and seeds of `FlowLLM.generate`."""
    if not isinstance(system.prior, LanguageModelPrior):
        watch.check()
        crystals, _ = draw(system.prior, range(len(prompts)), prompts, seed, sampling)
        yield from (Drawn(index, 0, "", crystal) for index, crystal in enumerate(crystals))
        return
    waiting = list(range(len(prompts)))
    for attempt in range(MAX_TRIES):
        accepted = set()
        seeds = [crystal_seed(seed, index, attempt) for index in waiting]
        for event in stream_sample(
            system.prior, [prompts[i] for i in waiting], sampling, seeds, waiting, attempt, watch
        ):
            if isinstance(event, Drawn):
                accepted.add(event.index)
            yield event
        waiting = [index for index in waiting if index not in accepted]
        if not waiting:
            return
    raise gave_up(prompts[waiting[0]])
