"""IPT, the increase in perplexity under transformation (Gruver et al., ICLR 2024, section 4).

A crystal stays itself when all its atoms move by one vector, or change places in the list. A
language model does not know that: IPT measures how much more it likes one way of writing than
another. IPT(s) = E_g[PPL(t_g(s)) - PPL(t_g*(s))], g* being the transformation of least perplexity.

A symmetric text has an origin of its own: a translation leaves it as it is, and its IPT is 0 by
construction. Permuted are its orbits of one element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.methods.language_model.likelihood import Likelihood, score
from flowllm.metrics.statistics import Estimate, estimate
from flowllm.runs.progress import ItemProgress
from flowllm.seeds import Stream, generator
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format

TRANSFORMATIONS = ("translation", "permutation")


@dataclass(frozen=True)
class Invariance:
    """Likelihoods of B crystals under G transformations.

    Attributes:
        kind: "translation" or "permutation".
        perplexity: (B, G) of the crystals' texts, base e.
        nats: (B, G) negative log-likelihoods of the texts; tokenizers differ, nats do not.
    """

    kind: str
    perplexity: np.ndarray
    nats: np.ndarray

    @property
    def ipt(self) -> np.ndarray:
        """(B,) mean perplexity less the least."""
        return self.perplexity.mean(1) - self.perplexity.min(1)

    @property
    def nats_lost(self) -> np.ndarray:
        """(B,) mean nats per crystal less the fewest."""
        return self.nats.mean(1) - self.nats.min(1)

    def estimates(self) -> dict[str, Estimate]:
        """Means over the crystals with their intervals."""
        return {"IPT": estimate(self.ipt), "nats lost": estimate(self.nats_lost)}


def invariance(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    data: CrystalSet,
    kind: str = "translation",
    num: int = 20,
    seed: int = 0,
    progress: ItemProgress | None = None,
    text_format: TextFormat | None = None,
) -> Invariance:
    """Score crystals under random transformations, given the outline, which is invariant.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        data: B crystals.
        kind: "translation": all atoms by one random vector, uniform on the torus, then listed in
            the order of the text; "permutation": the atoms of each element in a random order.
        num: transformations of each crystal, G; the first leaves it as it is.
        seed: of the transformations; those of a crystal depend on its place alone.
        progress: callback.
        text_format: in which the model writes; by default that of Gruver et al.

    Raises:
        InputError: no such kind, or fewer than two transformations.
    """
    if kind not in TRANSFORMATIONS:
        raise InputError(
            f"unknown transformation {kind!r}; choose from {', '.join(TRANSFORMATIONS)}"
        )
    if num < 2:
        raise InputError(f"an increase needs 2 transformations or more, not {num}")
    chosen = text_format or make_format()
    scores: list[Likelihood] = []
    for turn in range(num):
        texts = _texts(chosen, data.crystals, kind, seed, turn)
        scores.append(
            score(
                model, tokenizer, data, given=chosen.outline, outline=chosen.outline, texts=texts,
                text_format=chosen, progress=_shifted(progress, turn, num, len(data)),
            )
        )  # fmt: skip
    perplexity = np.stack([likelihood.perplexity for likelihood in scores], 1)
    return Invariance(kind, perplexity, -np.stack([s.text for s in scores], 1))


def _texts(
    chosen: TextFormat, crystals: CrystalBatch, kind: str, seed: int, turn: int
) -> list[str]:
    if turn == 0:
        return chosen.to_text(crystals)
    generators = [generator(Stream.TRANSFORMATION, seed, turn, i) for i in range(len(crystals))]
    if kind == "translation":
        shifts = np.stack([rng.random(3) for rng in generators])
        moved = crystals.frac_coords + shifts[crystals.crystal_of_atom]
        return chosen.to_text(crystals.replace(frac_coords=moved))
    keys = np.concatenate(
        [rng.random(count) for rng, count in zip(generators, crystals.num_atoms, strict=True)]
    )
    return chosen.to_text(crystals, within_element=keys)


def _shifted(
    progress: ItemProgress | None, turn: int, turns: int, size: int
) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(turn * size + done, turns * size)
