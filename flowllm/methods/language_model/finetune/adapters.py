"""Low-rank adaptation of a trained language model to a family of crystals.

LoRA (Hu et al., ICLR 2022) leaves each matrix W of the model as it is and adds a product of two
narrow ones beside it, W + (alpha / rank) B A; only A and B are trained. FlowLLM fine-tunes LLaMA-2
that way (section 3.1 and appendix: rank 8, alpha 32, batch 16, cosine from 5e-4, 10 epochs). Here
`peft` does it to any model of a prior, the compact one that ships with the package above all.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, set_seed

from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError, first_line
from flowllm.methods.language_model.finetune.settings import AdapterSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import LMTrainSettings
from flowllm.methods.language_model.train import train_lm
from flowllm.runs.files import friendly_os_errors


def add_adapter(
    model: PreTrainedModel, settings: AdapterSettings | None = None, seed: int = 0
) -> PeftModel:
    """A copy of a model with an adapter on every block matrix; B is 0, so outputs are equal.

    The adapter's weights alone are trainable.

    Args:
        model: any causal language model; it stays as it is.
        settings: the adapter's sizes.
        seed: of the random A.
    """
    return attach_adapter(copy.deepcopy(model), settings, seed)


def attach_adapter(
    base: PreTrainedModel,
    settings: AdapterSettings | None = None,
    seed: int = 0,
    in_float32: bool = True,
) -> PeftModel:
    """`add_adapter` in place, for models too large to copy.

    Args:
        base: any causal language model; its weights are frozen.
        settings: the adapter's sizes.
        seed: of the random A.
        in_float32: keep the adapter in float32 beside a base of fewer bits.

    Raises:
        InputError: the model has no linear layers inside its blocks.
    """
    settings = settings or AdapterSettings()
    # else peft writes where this machine keeps the model, and looks for it on the hub
    base.name_or_path = base.config._name_or_path = ""
    set_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",  # of attention and feed-forward; not what ends the model
    )
    with warnings.catch_warnings():  # peft asks transformers by a name that is going away
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out")  # of GPT-2; peft sets it right
        try:
            return get_peft_model(base, config, autocast_adapter_dtype=in_float32)
        except ValueError as error:
            raise InputError(
                f"this model does not support adapters: {first_line(error)}"
            ) from error


def adapt_lm(
    prior: LanguageModelPrior,
    train: CrystalSet,
    validation: CrystalSet,
    out: Path,
    settings: LMTrainSettings | None = None,
    adapter: AdapterSettings | None = None,
    *,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LanguageModelPrior, dict[str, float]]:
    """Train an adapter of a prior's language model by `train_lm`, and save the adapter alone.

    An interrupted run, called again with the same arguments, goes on from its last checkpoint.
    `flowllm.methods.language_model.finetune.prior.merge_into` makes a plain model of the adapter
    and the folder of its base.

    Args:
        prior: stays as it is.
        train: the family to learn.
        validation: crystals of it that are not in `train`.
        out: folder for the adapter, its tokenizer, checkpoints and `log.jsonl`.
        settings: of the training; its seed is the adapter's too.
        adapter: the adapter's sizes.
        device: where to train.
        progress: called with (steps done, steps in all).

    Returns:
        A prior that samples with the adapter, and the figures of `validation_figures` with it.
    """
    settings = settings or LMTrainSettings.paper()
    model = add_adapter(prior.model, adapter, settings.seed)
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    figures = train_lm(
        model, prior.tokenizer, train, validation, out, settings, text_format=prior.format,
        device=device, progress=progress,
    )  # fmt: skip
    (out / "README.md").unlink(missing_ok=True)  # peft's blank form of a model card
    return prior.with_model(model.eval()), figures
