"""The commands that train: the language model, the pairs and the flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from flowllm.commands.options import Device, Input, PriorKind


def train_lm(
    out: Path,
    data: str = "mp_20",
    model: str | None = None,
    lora: bool = False,
    rank: int = 8,
    alpha: float = 32.0,
    dropout: float = 0.0,
    load_in_4bit: bool = False,
    load_in_8bit: bool = False,
    max_steps: int | None = None,
    limit: int | None = None,
    patience: int = 0,
    at_once: int | None = None,
    checkpoint_steps: int = 200,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    optimizer: Literal["muon", "adamw"] | None = None,
    augmentation: Literal["none", "translation"] = "none",
    hidden: int = 224,
    layers: int = 6,
    heads: int = 7,
    feed_forward: int = 576,
    seed: int = 0,
    threads: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train a language model on crystals as text: the compact one, or another with --model.

    An interrupted run goes on. Started by "accelerate launch -m flowllm train-lm", several
    processes share each batch.

    Args:
        out: folder for the model or adapter, its checkpoints and log.jsonl.
        data: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF files.
        model: fine-tune this causal language model instead of training the compact one: a folder,
            or an id on the hub, as in meta-llama/Llama-2-7b-hf.
        lora: train an adapter of the model (LoRA) and leave the model as it is.
        rank: of the adapter.
        alpha: of the adapter, which is scaled by alpha / rank.
        dropout: of the adapter's inputs.
        load_in_4bit: hold the model's own weights in 4 bits; needs CUDA and bitsandbytes.
        load_in_8bit: the same in 8 bits.
        max_steps: stop after so many steps.
        limit: train on so many crystals only.
        patience: stop after so many validations without a new least loss; 0 never.
        at_once: crystals that a process takes at once, where its share of a batch does not fit into
            memory.
        checkpoint_steps: steps between validations, and between the checkpoints from which an
            interrupted run goes on.
        epochs: passes over the training split; 14, and 10 with --model, as in the paper.
        batch_size: crystals a step, of all processes together; 64, and 16 with --model.
        learning_rate: peak of the schedule; 2.5e-3, and 5e-4 with --model.
        weight_decay: decoupled decay of the matrices, the more passes the more of it; 0.1, and 0
            with --model.
        optimizer: Muon for the matrices and AdamW for the rest, or AdamW for all; with --model only
            the latter.
        augmentation: train on each crystal as it is, or moved by random vectors.
        hidden: width of the compact model.
        layers: its transformer blocks.
        heads: its attention heads.
        feed_forward: width inside its feed-forward blocks.
        seed: of weights, order and prompts.
        threads: processor threads; 0 takes all.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.errors import InputError
    from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings
    from flowllm.runs.progress import progress_bars
    from flowllm.training.ranks import is_main

    asked: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "optimizer": optimizer,
    }
    if model is None:
        usual: dict[str, Any] = {"learning_rate": 2.5e-3, "weight_decay": 0.1, "optimizer": "muon"}
        if lora or load_in_4bit or load_in_8bit or patience or max_steps or limit or at_once:
            raise InputError(
                "--lora, --load-in-4bit, --load-in-8bit, --patience, --max-steps, --limit and "
                "--at-once go with --model"
            )
    else:
        usual = {
            "epochs": 10,
            "batch_size": 16,
            "learning_rate": 5e-4,
            "weight_decay": 0.0,
            "optimizer": "adamw",
        }
        if (hidden, layers, heads, feed_forward) != (224, 6, 7, 576):
            raise InputError("--hidden, --layers, --heads and --feed-forward: --model has its own")
        if load_in_4bit and load_in_8bit:
            raise InputError("--load-in-4bit or --load-in-8bit, not both")
    settings = LMTrainSettings(
        **{**usual, **{name: value for name, value in asked.items() if value is not None}},
        augmentation=augmentation,
        checkpoint_steps=checkpoint_steps,
        seed=seed,
        threads=threads,
    )
    if model is None:
        sizes = CompactConfig(hidden, layers, heads, feed_forward)
        from flowllm.workflows.train import train_compact

        with progress_bars(is_main()) as progress:
            figures = train_compact(
                data,
                out,
                sizes,
                settings,
                device=device,
                overwrite=overwrite,
                progress=lambda done, total: progress("steps", done, total),
            )
    else:
        from flowllm.methods.language_model.finetune.adapters import AdapterSettings
        from flowllm.methods.language_model.finetune.train import LargeSettings
        from flowllm.workflows.train.fine_tuning import train_large

        large = LargeSettings(
            model,
            settings,
            AdapterSettings(rank, alpha, dropout) if lora else None,
            "4bit" if load_in_4bit else "8bit" if load_in_8bit else None,
            max_steps=max_steps,
            limit=limit,
            patience=patience,
            at_once=at_once,
        )
        with progress_bars(is_main()) as progress:
            figures = train_large(
                data,
                out,
                large,
                device=device,
                overwrite=overwrite,
                progress=lambda done, total: progress("steps", done, total),
            )
    if is_main():
        print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))


def merge_lm(
    adapter: Input, /, out: Path, base: str | None = None, overwrite: bool = False
) -> None:
    """Merge an adapter into its base, so that a plain model results.

    Args:
        adapter: folder that "flowllm train-lm --lora" wrote.
        out: folder for the model.
        base: where the base is now, if not where the adapter says.
        overwrite: replace another run in the output folder.
    """
    from flowllm.runs.progress import waiting
    from flowllm.workflows.train.fine_tuning import merge_run

    with waiting("merging"):
        merge_run(adapter, out, base=base, overwrite=overwrite)
    print(f"the model is in {out}")


def pair(
    lm: Path,
    out: Path,
    data: str = "mp_20",
    prior: PriorKind = "language-model",
    num_pairs: int = 24_000,
    samples_per_target: int = 2,
    keep: Literal["closest", "all"] = "closest",
    perturbed: int = 0,
    temperature: float = 0.8,
    top_p: float = 0.95,
    noise: float = 0.0,
    alignment: Literal["translation", "hungarian", "list"] = "translation",
    seed: int = 0,
    processes: int | None = None,
    dask: str | None = None,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Pair training crystals with samples of the prior, for the flow to learn from.

    Args:
        lm: folder that "flowllm train-lm" wrote.
        out: folder for the pairs.
        data: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF files.
        prior: what the samples are; the language model's crystals, its types with random places and
            cells, its types in the nearest training crystal, or types of training crystals with
            random places.
        num_pairs: how many targets are drawn from the training split.
        samples_per_target: samples drawn for one target.
        keep: of the samples of one target keep the one closest to it, or all.
        perturbed: how many pairs of a noisy copy and its target to add.
        temperature: of sampling; above 0.
        top_p: of sampling; in (0, 1].
        noise: standard deviation of Gaussian noise on the samples, in fractions of the cell, Å and
            degrees.
        alignment: how the atoms of a sample find those of its target; by element with the best
            common translation, by element, or in the order of the list.
        seed: of everything random.
        processes: each with one thread; by default one for each core, or one with a GPU. The pairs
            are the same however many there are.
        dask: address of a Dask scheduler whose workers sample, as in tcp://10.0.0.1:8786; they must
            find the folder of the language model at the same place.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.methods.language_model.settings import SamplingSettings
    from flowllm.parallel.dask import dask_executor
    from flowllm.parallel.map import available_cores
    from flowllm.runs.progress import progress_bars
    from flowllm.training.device import resolve_device
    from flowllm.workflows.train import PairSettings, make_pairs

    settings = PairSettings(
        SamplingSettings(temperature, top_p, noise),
        num_pairs=num_pairs,
        samples_per_target=samples_per_target,
        keep=keep,
        perturbed=perturbed,
        alignment=alignment,
        seed=seed,
    )
    if processes is None:
        processes = available_cores() if resolve_device(device).type == "cpu" else 1
    with dask_executor(dask) as executor, progress_bars() as progress:
        summary = make_pairs(
            lm,
            data,
            out,
            settings,
            prior_kind=prior,
            device=device,
            processes=processes,
            executor=executor,
            overwrite=overwrite,
            progress=lambda done, total: progress("pairs", done, total),
        )
    speed = summary.pop("speed", {})
    for name, value in {**summary, **speed}.items():
        print(f"{name}: {value}")


def train_flow(
    pairs: Path,
    out: Path,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    optimizer: Literal["muon", "adamw"] = "muon",
    hidden: int = 256,
    layers: int = 6,
    cell_map: Literal["log-matrix", "logit", "flowmm"] = "log-matrix",
    coord_weight: float = 200.0,
    max_distance: float = 0.25,
    max_strain: float = 10.0,
    weight_decay: float = 0.0,
    coord_noise: float = 0.0,
    seed: int = 0,
    device: Device = "auto",
    overwrite: bool = False,
) -> None:
    """Train the Riemannian flow on pairs; an interrupted run goes on.

    Args:
        pairs: folder that "flowllm pair" wrote.
        out: folder for the model, its checkpoints and log.jsonl.
        epochs: passes over the pairs.
        batch_size: pairs a step.
        learning_rate: peak of the schedule.
        optimizer: Muon for the matrices and AdamW for the rest, or AdamW for all.
        hidden: width of the network.
        layers: rounds of messages.
        cell_map: how the flow sees a cell; as the logarithm of its metric matrix, as lengths and
            angles mapped to the line, or with the narrower bounds of FlowMM.
        coord_weight: lambda_f of the loss, on coordinates in fractional units; that of the
            standardised cell is 1.
        max_distance: leave out pairs with a larger mean squared torus distance per atom.
        max_strain: leave out pairs whose cells differ by a larger relative stretch.
        weight_decay: decoupled decay of the weights.
        coord_noise: standard deviation of Gaussian noise on the samples' coordinates, fractional.
        seed: of weights, order, times and noise.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.methods.flow import FlowTrainSettings
    from flowllm.networks.cspnet import VelocityConfig
    from flowllm.runs.progress import progress_bars
    from flowllm.workflows.train import train_on_pairs

    settings = FlowTrainSettings(
        network=VelocityConfig(hidden=hidden, layers=layers, cell_map=cell_map),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer=optimizer,
        coord_weight=coord_weight,
        max_distance=max_distance,
        max_strain=max_strain,
        weight_decay=weight_decay,
        coord_noise=coord_noise,
        seed=seed,
        device=device,
    )
    with progress_bars() as progress:
        train_on_pairs(
            pairs,
            out,
            settings,
            overwrite=overwrite,
            progress=lambda done, total: progress("steps", done, total),
        )
    print(f"the flow is in {out / 'model'}")
