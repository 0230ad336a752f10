"""Running a model for the playground: live if it can `stream`, else at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.systems.events import Event, Refining
from flowllm.teaching.systems import reads_prompts
from flowllm.text.prompts import parse_prompt, standard_prompt
from flowllm_widgets.playground.tries import Settings, Try
from flowllm_widgets.shared.background import Stop

Result = TypeVar("Result")
POLL = 0.05  # seconds between two looks at a model that cannot be asked to stop


class Generates(Protocol):
    """The model interface that the playground needs.

    The result has `refined`, a `CrystalBatch`; `prior` and `trajectory` are shown if it has them.
    If the model has `stream` too, with the arguments of
    `flowllm.systems.system.FlowLLM.stream`, its tokens appear as they are drawn.
    """

    def generate(self, num: int, *, prompts: Any, seed: int, sampling: Any, refinement: Any) -> Any:
        """Crystals for the prompts, used in turn."""
        ...


def carry_out(
    model: Generates,
    one: Try,
    stop: Stop,
    told: Callable[[Event | Refining], None] = lambda event: None,
    alternatives: int = 8,
) -> None:
    """Run the model with a try's settings and fill in the results.

    Args:
        model: anything with `generate`.
        one: the try.
        stop: asked at each token and each step of the flow, if the model can be asked.
        told: called with every event, after the try has taken it.
        alternatives: tokens told at each place; 0 tells none.

    Raises:
        Cancelled: a stop was wanted.
    """
    if not hasattr(model, "stream"):
        result = patiently(lambda: model.generate(**_arguments(model, one.settings)), stop)
        return _fill(one, result)
    for event in _streamed(model, one.settings, stop, alternatives):
        stop.check()
        one.take(event)
        told(event)
    stop.check()


def _streamed(
    model: Any, settings: Settings, stop: Stop, alternatives: int
) -> Iterator[Event | Refining]:
    asked = _arguments(model, settings)
    return model.stream(**asked, stop=lambda: stop.wanted, alternatives=alternatives)


def _arguments(model: Any, settings: Settings) -> dict[str, Any]:
    """The model's arguments: the prompt, or its conditions for models without prompts."""
    asked: dict[str, Any] = {"prompts": [settings.prompt]}
    if not reads_prompts(model):
        conditions = parse_prompt(standard_prompt(settings.prompt))
        asked = {name: getattr(conditions, name) for name in conditions.known()}
    return {
        "num": settings.num,
        **asked,
        "seed": settings.seed,
        "sampling": settings.sampling,
        "refinement": settings.refinement,
    }


def _fill(one: Try, result: Any) -> None:
    refined: CrystalBatch = result.refined
    prior: CrystalBatch | None = getattr(result, "prior", None)
    way: Trajectory | None = getattr(result, "trajectory", None)
    for index, sample in enumerate(one.samples[: len(refined)]):
        sample.finish(
            None if prior is None else prior[index],
            refined[index],
            None if way is None else way.crystal(index),
        )


def patiently(call: Callable[[], Result], stop: Stop) -> Result:
    """The result of an uninterruptible call, unless a stop is requested first.

    Then the call goes on in a thread of its own and nobody hears of its end.

    Raises:
        Cancelled: a stop was wanted.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        stop.check()
        thread.join(POLL)
    if errors:
        raise errors[0]
    return results[0]
