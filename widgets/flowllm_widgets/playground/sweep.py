"""A sweep over temperatures: validity and diversity of the crystals, as plain data."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm_widgets.playground.run import Generates, carry_out, patiently
from flowllm_widgets.playground.tries import Settings, Try
from flowllm_widgets.shared.background import Stop

KINDS = 5  # crystals of five elements or more are counted together


@dataclass(frozen=True)
class Point:
    """The crystals of one temperature.

    Attributes:
        temperature: of the language model.
        num: crystals.
        structure: share with a valid structure.
        composition: share with a valid composition.
        formulas: distinct formulas, as a share.
        unique: crystals that equal none before them, as a share.
        nary: crystals of 1, 2, 3, 4 and of 5 or more elements.
    """

    temperature: float
    num: int
    structure: float
    composition: float
    formulas: float
    unique: float
    nary: tuple[int, ...]


def temperatures(low: float, high: float, count: int) -> list[float]:
    """`count` temperatures, evenly spread, to two decimals.

    Raises:
        InputError: a bad range.
    """
    if not 0 < low < high:
        raise InputError(f"the range of temperatures {low:g} to {high:g} is empty")
    if count < 2:
        raise InputError(f"a sweep needs at least 2 temperatures, not {count}")
    return list(dict.fromkeys(round(float(t), 2) for t in np.linspace(low, high, count)))


def sweep(
    model: Generates,
    settings: Settings,
    chosen: Sequence[float],
    stop: Stop,
    told: Callable[[Point], None],
) -> None:
    """Generate at each temperature with the same seed, reporting each when done.

    Args:
        model: anything with `generate`.
        settings: all but the temperature; `num` is the number at each.
        chosen: temperatures.
        stop: as for `carry_out`.
        told: called with each point.

    Raises:
        Cancelled: a stop was wanted.
    """
    with warnings.catch_warnings():  # of strange prompts the form has said what there is to say
        warnings.simplefilter("ignore")
        for temperature in chosen:
            stop.check()  # a fast try ends before anything else looks
            sampling = replace(settings.sampling, temperature=temperature)
            one = Try(0, replace(settings, sampling=sampling))
            carry_out(model, one, stop, alternatives=0)
            told(patiently(partial(point_of, temperature, one), stop))


def point_of(temperature: float, one: Try) -> Point:
    """The point of a sweep from one try.

    Raises:
        InputError: it has no crystal.
    """
    from flowllm.metrics.properties import n_elements
    from flowllm.stability.grouping import group_crystals

    crystals: CrystalBatch = one.refined
    num = len(crystals)
    if not num:
        raise InputError(f"no crystal at temperature {temperature:g}")
    facts = [sample.best for sample in one.samples if sample.best is not None]
    kinds = Counter(min(int(n), KINDS) for n in n_elements(crystals))
    # no limit of time: its alarm rings in the main thread only
    unique = group_crystals(crystals, seconds=None).unique
    return Point(
        temperature,
        num,
        sum(not f.fault for f in facts) / num,
        sum(f.charge_balanced for f in facts) / num,
        len({f.formula for f in facts}) / num,
        float(unique.sum()) / num,
        tuple(kinds[k] for k in range(1, KINDS + 1)),
    )
