"""Crystal structure prediction: compositions of a split's crystals, under their ids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.seeds import Stream, generator
from flowllm.text.prompts import build_prompt

if TYPE_CHECKING:
    from flowllm.workflows.settings import GenerateSettings


def with_targets(settings: GenerateSettings) -> tuple[GenerateSettings, tuple[str, ...]]:
    """Settings that request the composition of each target, and the targets' ids.

    A random choice of `settings.num` crystals of the split, in its order; all if there are fewer.
    `flowllm evaluate` matches what is generated with them by these ids.

    Raises:
        InputError: something else is asked for too, no such data, or no such split.
    """
    if settings.request.known() or settings.request.prompts:
        raise InputError("targets set their own compositions; leave out other conditions")
    truth = load_dataset(settings.targets, settings.split).crystals
    chosen = generator(Stream.MATCHED, settings.seed).permutation(len(truth))
    some = truth[np.sort(chosen[: settings.num])]
    prompts = tuple(build_prompt(Conditions(composition=c)) for c in some.compositions)
    request = replace(settings.request, prompts=prompts)
    return replace(settings, num=len(some), request=request), tuple(map(str, some.ids))
