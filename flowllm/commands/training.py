"""The commands that train: the language model, the pairs and the flow."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from flowllm.commands.options import Device, PriorKind


def train_lm(
    out: Path,
    data: str = "mp_20",
    epochs: int = 14,
    batch_size: int = 64,
    learning_rate: float = 2.5e-3,
    weight_decay: float = 0.1,
    optimizer: Literal["muon", "adamw"] = "muon",
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
    """Train the compact language model on crystals as text; an interrupted run goes on.

    Args:
        out: folder for the model, its checkpoints and log.jsonl.
        data: mp_20, a folder that "flowllm data" wrote, a CSV file or a folder of CIF files.
        epochs: passes over the training split.
        batch_size: crystals a step.
        learning_rate: peak of the schedule.
        weight_decay: decoupled decay of the matrices; the more passes, the more of it.
        optimizer: Muon for the matrices and AdamW for the rest, or AdamW for all.
        augmentation: train on each crystal as it is, or moved by random vectors.
        hidden: width of the model.
        layers: transformer blocks.
        heads: attention heads.
        feed_forward: width inside the feed-forward blocks.
        seed: of weights, order and prompts.
        threads: processor threads; 0 takes all.
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.lm.settings import CompactConfig, LMTrainSettings

    sizes = CompactConfig(hidden, layers, heads, feed_forward)
    settings = LMTrainSettings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        optimizer=optimizer,
        augmentation=augmentation,
        seed=seed,
        threads=threads,
    )
    from flowllm.pipeline import train_compact

    figures = train_compact(data, out, sizes, settings, device=device, overwrite=overwrite)
    print(", ".join(f"{name} {value:.4g}" for name, value in figures.items()))


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
        device: where to compute.
        overwrite: replace another run in the output folder.
    """
    from flowllm.lm.settings import SamplingSettings
    from flowllm.pipeline import PairSettings, make_pairs
    from flowllm.progress import progress_bars

    settings = PairSettings(
        SamplingSettings(temperature, top_p, noise),
        num_pairs=num_pairs,
        samples_per_target=samples_per_target,
        keep=keep,
        perturbed=perturbed,
        alignment=alignment,
        seed=seed,
    )
    with progress_bars() as progress:
        summary = make_pairs(
            lm,
            data,
            out,
            settings,
            prior_kind=prior,
            device=device,
            overwrite=overwrite,
            progress=lambda done, total: progress("pairs", done, total),
        )
    for name, value in summary.items():
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
    from flowllm.flow import FlowTrainSettings, VelocityConfig
    from flowllm.pipeline import train_on_pairs
    from flowllm.progress import progress_bars

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
        disable_tqdm=True,
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
