"""The language model as a prior: from conditions to crystals."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from flowllm.conditions.conditions import KINDS, Conditions
from flowllm.conditions.formula import read_formula
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.compact import load_compact, save_compact
from flowllm.methods.language_model.constrained import draw_constrained
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.encoding import (
    check_prompts,
    context_of,
    is_large,
)
from flowllm.methods.language_model.decoding.events import CRYSTAL
from flowllm.methods.language_model.decoding.prefix_cache import PrefixCache
from flowllm.methods.language_model.format_file import load_format, save_format
from flowllm.methods.language_model.outline import OutlineWriter
from flowllm.methods.language_model.rules import expected_atoms, rule_for, stated
from flowllm.methods.language_model.settings import FEWEST_TOKENS, SamplingSettings
from flowllm.runs.identity import digest, weights_digest
from flowllm.seeds import Stream, generator
from flowllm.systems.events import Drawn, Rejected
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.encoding import encode_prompts
from flowllm.text.formats.base import TextError, TextFormat
from flowllm.text.formats.registry import make_format
from flowllm.text.prompts import foreign_text, prompt_of, read_prompt
from flowllm.training.device import resolve_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ON_COMPOSITION = frozenset({"formula", "composition", "elements", "num_atoms"})


class LanguageModelPrior:
    """A causal language model that writes crystals (the prior of FlowLLM, p_LLM).

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        constrained: keep the texts crystals and of the composition that the prompt asks for; needs
            the compact tokenizer.
        text_format: the format in which it writes; by default that of Gruver et al.

    Raises:
        InputError: constraints, and another tokenizer than the compact one of the format.
    """

    kind = "language-model"
    label = "language model"
    Settings = SamplingSettings
    pool: tuple[str, ...] | None = None
    """Elements of compositions that are left open; None for all."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        constrained: bool = True,
        text_format: TextFormat | None = None,
    ) -> None:
        self.model, self.tokenizer, self.constrained = model, tokenizer, constrained
        self.format = text_format or make_format()
        if constrained:
            self.format.states(tokenizer, [], [])  # raises where the tokenizer is another

    @property
    def in_memory(self) -> bool:
        """Whether the model has been loaded; if not, the first text takes seconds."""
        return True

    def with_model(self, model: PreTrainedModel) -> LanguageModelPrior:
        """The same prior around another model of the same tokenizer."""
        return LanguageModelPrior(model, self.tokenizer, self.constrained, self.format)

    def unconstrained(self) -> LanguageModelPrior:
        """The same model without constrained decoding."""
        return LanguageModelPrior(self.model, self.tokenizer, False, self.format)

    def limited_to(self, elements: Iterable[str]) -> Self:
        """The same prior, restricted to some elements unless others are requested.

        One that writes freely rejects crystals of others, unless its prompt has words of its own,
        which may ask for anything.
        """
        limited = copy(self)
        limited.pool = tuple(elements)
        return limited

    # ---- what can be asked -----------------------------------------------------------------

    @property
    def exact(self) -> frozenset[str]:
        """The conditions on the composition if decoding is constrained; else none."""
        return ON_COMPOSITION if self.constrained else frozenset()

    @property
    def heeded(self) -> frozenset[str]:
        """All other conditions."""
        return frozenset(KINDS) - self.exact

    @property
    def outline(self) -> tuple[str, ...]:
        """The sentences that the model writes into its own prompt."""
        return self.format.outline if self.constrained else ()

    def check(self, asked: Conditions) -> None:
        """Check that decoding can meet the conditions; an unconstrained model takes any.

        Raises:
            InputError: no composition fits, or a standard sentence of a prompt cannot be read.
        """
        if self.constrained:
            with warnings.catch_warnings():  # sampling warns of foreign text, once is enough
                warnings.simplefilter("ignore")
                rule_for(self.read(asked), self.format.max_atoms, self.pool)

    def prompt(self, asked: Conditions) -> str:
        """The prompt that the model reads, before it adds the sentences of the outline."""
        return prompt_of(asked, self.format.outline)

    def read(self, asked: Conditions) -> Conditions:
        """The conditions with the prompt that the model reads, and what that prompt states.

        Raises:
            InputError: decoding is constrained, and a standard sentence of a prompt cannot be read.
        """
        if self.constrained:
            return stated(asked, self.format.outline)
        return read_prompt(self.prompt(asked))

    # ---- sampling --------------------------------------------------------------------------

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: SamplingSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """Crystals for P conditions; one that is rejected is missing.

        A crystal is reported at the token that ends it, or is rejected there.

        Returns:
            At most P crystals; an id is the position of its conditions.
        """
        found = self.written(asked, settings, seeds, watch)
        return CrystalBatch.concatenate(found[position][1] for position in sorted(found))

    def written(
        self,
        asked: Sequence[Conditions],
        settings: SamplingSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> dict[int, tuple[str, CrystalBatch]]:
        """The crystals of `sample` with their texts, by the positions of their conditions."""
        wanted = [self.read(conditions) for conditions in asked]
        settings = self.fit([prompt_of(each) for each in wanted], settings)
        found: dict[int, tuple[str, CrystalBatch]] = {}

        def ended(position: int, text: str | None) -> None:
            reason = f"no end within {settings.max_new_tokens} tokens"
            if text is not None:
                try:
                    crystal = self.format.parse_text(text, str(position))
                    self._refuse_strange(crystal, wanted[position])
                except TextError as error:  # rejected, as in section 3.1 of the paper
                    reason, text = str(error), None
                else:
                    crystal = perturb(crystal, settings.noise, seeds[position])
                    found[position] = text, crystal
                    watch.event(Drawn(position, 0, text, crystal))
            if text is None:
                watch.event(Rejected(position, 0, CRYSTAL, reason))
            watch.finished()

        if self.constrained:
            draw_constrained(self, wanted, settings, seeds, watch, ended)
        else:
            decode(
                self.model, self.tokenizer, [prompt_of(each) for each in wanted], settings, seeds,
                watch=watch, part=CRYSTAL, ended=ended,
                lengths=[expected_atoms(each) for each in wanted],
            )  # fmt: skip
        return found

    def _refuse_strange(self, crystal: CrystalBatch, asked: Conditions) -> None:
        """Reject elements that are outside the pool and not requested.

        Raises:
            TextError: names them.
        """
        if self.pool is None or self.constrained or foreign_text(prompt_of(asked)):
            return
        named = {*(asked.elements or ()), *(asked.composition or ())}
        with suppress(InputError):  # a free model may follow a formula that is none
            named |= set(read_formula(asked.formula or ""))
        strange = [s for s in crystal.compositions[0] if s not in named and s not in self.pool]
        if strange:
            raise TextError(f"no training crystal contains {', '.join(strange)}")

    def complete(
        self,
        asked: Sequence[Conditions],
        settings: SamplingSettings,
        seeds: Sequence[int],
        names: Sequence[str] | None = None,
        watch: Watch = UNWATCHED,
        prefixes: PrefixCache | None = None,
    ) -> list[Conditions]:
        """The conditions, as `read` gives them, with the sentences that the model adds.

        `names` may leave out some of the outline; `outline.OutlineWriter` says when a prompt stays
        as it is. Keys and values of the sentences are added to `prefixes`.
        """
        writer = OutlineWriter(
            self.model, self.tokenizer, self.format, settings, watch, self.pool, prefixes
        )
        return writer.complete(asked, seeds, names)

    def compositions(
        self,
        asked: Sequence[Conditions],
        settings: SamplingSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> list[dict[str, int] | None]:
        """The compositions of the crystals that `sample` would draw; None for rejected ones."""
        wanted = [self.read(conditions) for conditions in asked]
        completed = self.complete(wanted, settings, seeds, ("composition",), watch)
        return [each.composition for each in completed]

    def fit(self, prompts: Sequence[str], settings: SamplingSettings) -> SamplingSettings:
        """The settings with as many tokens as a crystal may take after these prompts.

        Where the settings leave it open it is what the format's largest cell may take; no text may
        outgrow the model's context.

        Raises:
            InputError: a prompt is empty or fills the model's context; both lengths are named.
        """
        context = context_of(self.model.config)
        encoded = encode_prompts(self.tokenizer, prompts)
        check_prompts(prompts, encoded, context)
        count = settings.max_new_tokens
        if count is None:
            count = max(FEWEST_TOKENS, self.format.longest(self.tokenizer))
        if context is not None:
            count = min(count, context - max(map(len, encoded), default=0))
        return replace(settings, max_new_tokens=count)

    def rounded(self, crystals: CrystalBatch) -> CrystalBatch:
        """Crystals written as texts and read again: the best that a text can represent."""
        texts = self.format.to_text(crystals)
        names = crystals.ids.tolist()
        return CrystalBatch.concatenate(map(self.format.parse_text, texts, names))

    def units(self, crystals: CrystalBatch, settings: SamplingSettings) -> tuple[str, int]:
        """Tokens of the crystals' texts, the ends included."""
        texts = self.format.to_text(crystals)
        encoded = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return "tokens", sum(len(ids) + 1 for ids in encoded)

    # ---- files -----------------------------------------------------------------------------

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> LanguageModelPrior:
        """As `from_pretrained`, the device resolved."""
        return cls.from_pretrained(folder, str(resolve_device(device)))

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> LanguageModelPrior:
        """Load a compact model from a folder, in float32.

        A folder with an adapter, or with a model that has its own tokenizer, gives a `LargePrior`.

        Raises:
            InputError: the folder contains no such model, or a damaged one.
        """
        if is_large(folder):
            return load_large(folder, device)
        model, tokenizer = load_compact(folder)
        text_format = load_format(folder)
        try:
            return cls(model.to(device).eval(), tokenizer, text_format=text_format)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def save(self, folder: Path, half: bool = False) -> None:
        """As `save_pretrained`."""
        self.save_pretrained(folder, half)

    def save_pretrained(self, folder: str | Path, half: bool = False) -> None:
        """Save model, tokenizer and format; in float16 where `half`."""
        save_compact(self.model, self.tokenizer, folder, half)
        save_format(self.format, folder)

    def digest(self) -> str:
        """A short hash of weights, tokenizer, format, and whether decoding is constrained."""
        words = "\n".join(self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer))))
        return digest(weights_digest(self.model), words, str(self.constrained), self._written())

    def _written(self) -> str:
        return f"{self.format.name}, {self.format.max_atoms} atoms"


class LargePrior(LanguageModelPrior):
    """A fine-tuned pretrained model with its own tokenizer, decoded without constraints.

    Args:
        model: the model, with its adapter where it has one.
        tokenizer: its own.
        folder: where it was loaded from.
        identity: a short hash of its weights.
        text_format: the format in which it writes; by default that of Gruver et al.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        identity: str,
        text_format: TextFormat | None = None,
    ) -> None:
        super().__init__(model, tokenizer, constrained=False, text_format=text_format)
        self.folder, self.identity = folder, identity

    def fit(self, prompts: Sequence[str], settings: SamplingSettings) -> SamplingSettings:
        """As for any prior, with batches limited by the memory for keys and values.

        What a text says does not depend on how many are written beside it.
        """
        from flowllm.methods.language_model.finetune.load import rows_that_fit

        fitted = super().fit(prompts, settings)
        longest = max(map(len, encode_prompts(self.tokenizer, prompts)), default=0)
        assert fitted.max_new_tokens is not None  # filled in above
        rows = rows_that_fit(self.model, longest + fitted.max_new_tokens)
        return replace(fitted, batch_size=max(1, min(fitted.batch_size, rows)))

    def digest(self) -> str:
        """A short hash of format and weight files."""
        return digest(self.identity, self._written())

    def save_pretrained(self, folder: str | Path, half: bool = False) -> None:
        """Save the adapter with a record of its base, or the whole model, and the tokenizer.

        Weights of 16 bits stay as they are; others are saved in float16 where `half`.
        """
        from flowllm.methods.language_model.finetune.load import save_large

        save_large(self.model, self.tokenizer, self.folder, Path(folder), half)
        save_format(self.format, folder)


def load_large(folder: str | Path, device: str = "cpu", **options: Any) -> LargePrior:
    """A prior of a fine-tuned model, or of any other; arguments as of `finetune.load.load_model`.

    Raises:
        InputError: a part is missing or damaged, or the base is not the one that was adapted.
    """
    from flowllm.methods.language_model.finetune.load import load_model

    text_format = load_format(folder)
    return LargePrior(*load_model(folder, device, text_format=text_format, **options), text_format)


def load_as_stored(folder: str | Path) -> LanguageModelPrior:
    """A prior to be saved elsewhere: a large model keeps the dtype of its weights on disk."""
    if not is_large(folder):
        return LanguageModelPrior.from_pretrained(folder)
    return load_large(folder, as_stored=True)


def perturb(crystal: CrystalBatch, noise: float, seed: int) -> CrystalBatch:
    """One crystal with Gaussian noise of standard deviation `noise` on its continuous values.

    The noise is in each value's own unit: fractional coordinates, Å and degrees. A cell that would
    no longer span a volume keeps its angles.
    """
    if noise == 0:
        return crystal
    rng = generator(Stream.NOISE, seed)
    moved = crystal.replace(
        frac_coords=crystal.frac_coords + noise * rng.standard_normal(crystal.frac_coords.shape),
        lengths=np.abs(crystal.lengths + noise * rng.standard_normal((1, 3))),
        angles=crystal.angles + noise * rng.standard_normal((1, 3)),
    )
    return moved if moved.volumes[0] > 0 else moved.replace(angles=crystal.angles)
