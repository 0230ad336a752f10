"""The language model as a prior: prompts in, crystals out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.formula import multiples_of
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.methods.language_model.build import no_bars
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.encoding import (
    check_prompts,
    context_of,
    encode_prompts,
    is_compact,
    is_large,
    longest_crystal,
)
from flowllm.methods.language_model.outline import expected_atoms, result_of, write_outline
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.runs.identity import weights_digest
from flowllm.text.constraints import CrystalState
from flowllm.text.outline import DecodingState
from flowllm.text.prompts import OUTLINE, Conditions, parse_prompt, without_frame
from flowllm.text.strings import TextError, parse_text
from flowllm.text.token_table import TokenTable
from flowllm.text.tokenizer import load_tokenizer, warn_about_foreign_text

# sampling, noise and the outline's sentences draw from different streams of a crystal's seed;
# those of the sentences are in `flowllm.methods.language_model.outline`
NOISE_STREAM = 1


class LanguageModelPrior:
    """A causal language model that writes crystals (the prior of FlowLLM, p_LLM).

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        constrained: keep the texts crystals and of the composition that the prompt asks for; needs
            the compact tokenizer.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, constrained: bool = True
    ) -> None:
        if constrained:
            TokenTable(tokenizer)  # raises where the tokenizer is another
        self.model, self.tokenizer, self.constrained = model, tokenizer, constrained

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "cpu") -> LanguageModelPrior:
        """Load a compact model from a folder, in float32 whatever it was stored in.

        A folder with an adapter, or with a model that has its own tokenizer, gives a
        `flowllm.methods.language_model.finetune.prior.LargePrior`.

        Raises:
            InputError: the folder holds no such model, or a damaged one.
        """
        if is_large(folder):
            from flowllm.methods.language_model.finetune.prior import load_large

            return load_large(folder, device)
        for name in ("config.json", "model.safetensors"):
            if not (Path(folder) / name).is_file():
                raise InputError(f"{folder} is no language model: it holds no {name}")
        tokenizer = load_tokenizer(folder)
        try:
            with no_bars():
                model, report = AutoModelForCausalLM.from_pretrained(
                    str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True,
                    trust_remote_code=False, output_loading_info=True,
                )  # fmt: skip
        except Exception as error:  # safetensors and transformers raise errors of many kinds
            raise InputError(f"{folder} cannot be loaded: {first_line(error)}") from error
        if model.config.vocab_size != len(tokenizer):
            raise InputError(
                f"{folder}: the model has {model.config.vocab_size} tokens, its tokenizer "
                f"{len(tokenizer)}"
            )
        lacking = sorted(map(str, report["missing_keys"]))
        if lacking:  # transformers would go on with random numbers in their place
            raise InputError(
                f"{Path(folder) / 'model.safetensors'} lacks {len(lacking)} weights of the model "
                f"({lacking[0]}, …)"
            )
        for weight, tensor in model.state_dict().items():
            if not torch.isfinite(tensor).all():
                raise InputError(f"{folder}: {weight} holds a value that is not finite")
        try:
            return cls(model.to(device).eval(), tokenizer)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from error

    def save_pretrained(self, folder: str | Path, half: bool = False) -> None:
        """Save model and tokenizer; in float16 where `half`."""
        state = self.model.state_dict()
        if half:
            state = {name: weight.half() for name, weight in state.items()}
        with no_bars():
            self.model.save_pretrained(folder, state_dict=state)
        self.tokenizer.save_pretrained(folder)

    @property
    def outline(self) -> tuple[str, ...]:
        """The sentences that the model writes into its own prompt."""
        return OUTLINE if self.constrained else ()

    def digest(self) -> str:
        """A short hash of the weights."""
        return weights_digest(self.model)

    def fit(self, prompts: Sequence[str], settings: SamplingSettings) -> SamplingSettings:
        """The settings with as many tokens as a crystal may take behind these prompts.

        By the compact tokenizer a cell of 20 atoms takes fewer than the default allows, by others
        several times as many; no text may outgrow the model's context.

        Raises:
            InputError: a prompt is empty or fills the model's context; both lengths are named.
        """
        context = context_of(self.model.config)
        encoded = encode_prompts(self.tokenizer, prompts)
        check_prompts(prompts, encoded, context)
        count = settings.max_new_tokens
        if not is_compact(self.tokenizer):
            count = max(count, longest_crystal(self.tokenizer))
        if context is not None:
            count = min(count, context - max(map(len, encoded), default=0))
        return replace(settings, max_new_tokens=count)

    def sample(
        self,
        prompts: Sequence[str],
        settings: SamplingSettings,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None = None,
    ) -> CrystalBatch:
        """Crystals for P prompts; one that is rejected is missing.

        Returns:
            At most P crystals; an id is the position of its prompt.
        """
        settings = self.fit(prompts, settings)
        if self.constrained:
            prompts = self.complete(prompts, settings, seeds)
            table = TokenTable(self.tokenizer)
            states: list[DecodingState] = [
                CrystalState(table, self.rule_for(p), settings.overlap) for p in prompts
            ]
            texts = decode(self.model, self.tokenizer, prompts, settings, seeds, states, progress)
        else:
            texts = self._write_freely(prompts, settings, seeds, progress)
        crystals = []
        for index, text in enumerate(texts):
            if text is None:
                continue
            try:
                crystal = parse_text(text, str(index))
            except TextError:
                continue  # rejected, as in section 3.1 of the paper; the caller sees it missing
            crystals.append(perturb(crystal, settings.noise, seeds[index]))
        return CrystalBatch.concatenate(crystals)

    def complete(
        self,
        prompts: Sequence[str],
        settings: SamplingSettings,
        seeds: Sequence[int],
        names: Sequence[str] = OUTLINE,
    ) -> list[str]:
        """The prompts with the sentences that the model adds: composition, then space group.

        `names` may leave out the latter; `outline.write_outline` says when a prompt stays as it is.
        """

        def write(
            stems: list[str], streams: list[list[int]], states: list[DecodingState], _: str
        ) -> Iterable[tuple[int, str | None]]:
            values = decode(self.model, self.tokenizer, stems, settings, streams, states)
            return enumerate(values)

        return result_of(write_outline(self, prompts, seeds, write, names))

    def _write_freely(
        self,
        prompts: Sequence[str],
        settings: SamplingSettings,
        seeds: Sequence[int],
        progress: Callable[[int], None] | None,
    ) -> list[str | None]:
        """Texts without constraints: on a GPU by continuous batching, else by our own loop."""
        if settings.continuous or (
            settings.continuous is None and self.model.device.type == "cuda"
        ):
            from flowllm.methods.language_model.decoding.continuous import decode_continuously

            try:
                return decode_continuously(
                    self.model, self.tokenizer, prompts, settings, seeds, progress
                )
            except Exception as error:  # whatever transformers' engine does not know of a model
                if settings.continuous:
                    raise
                message = f"no continuous batching of this model ({first_line(error)})"
                warnings.warn(f"{message}; going on without", stacklevel=2)
        lengths = [expected_atoms(prompt) for prompt in prompts]
        return decode(self.model, self.tokenizer, prompts, settings, seeds, None, progress, lengths)

    def rule_for(self, prompt: str) -> CompositionRule:
        """What the standard sentences of a prompt say about the composition.

        Raises:
            InputError: they contradict each other or cannot be met; the prompt is named.
        """
        warn_about_foreign_text(prompt)
        try:
            asked = parse_prompt(prompt)
            return CompositionRule(_compositions(asked), asked.elements, asked.num_atoms)
        except InputError as error:
            raise InputError(f"prompt {without_frame(prompt)!r}: {error}") from error


def load_as_stored(folder: str | Path) -> LanguageModelPrior:
    """A prior to be passed on: a large model keeps the type in which its weights lie on disk."""
    if not is_large(folder):
        return LanguageModelPrior.from_pretrained(folder)
    from flowllm.methods.language_model.finetune.prior import load_large

    return load_large(folder, as_stored=True)


def _compositions(asked: Conditions) -> tuple[dict[str, int], ...] | None:
    """The cell compositions that meet both a composition and a formula, where these are given."""
    if asked.formula is None:
        return None if asked.composition is None else (asked.composition,)
    multiples = multiples_of(asked.formula)
    if asked.composition is None:
        return multiples
    return tuple(c for c in multiples if c == asked.composition)


def perturb(crystal: CrystalBatch, noise: float, seed: int) -> CrystalBatch:
    """One crystal with Gaussian noise of standard deviation `noise` on its continuous values.

    The noise is in each value's own unit: fractional coordinates, Å and degrees. A cell that would
    no longer span a volume keeps its angles.
    """
    if noise == 0:
        return crystal
    generator = np.random.default_rng([seed, NOISE_STREAM])
    moved = crystal.replace(
        frac_coords=crystal.frac_coords
        + noise * generator.standard_normal(crystal.frac_coords.shape),
        lengths=np.abs(crystal.lengths + noise * generator.standard_normal((1, 3))),
        angles=crystal.angles + noise * generator.standard_normal((1, 3)),
    )
    return moved if moved.volumes[0] > 0 else moved.replace(angles=crystal.angles)
