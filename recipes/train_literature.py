"""Train FlowMM, DiffCSP or CDVAE from prepared crystals, within a number of minutes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.conditions.ranges import TrainingRanges
from flowllm.data.dataset import CrystalSet
from flowllm.errors import InputError
from flowllm.methods.base.geometry import SimpleBase
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.cdvae.batches import CrystalsInBatches
from flowllm.methods.cdvae.loss import CDVAELoss
from flowllm.methods.cdvae.model import CDVAEModel
from flowllm.methods.cdvae.prior import CDVAEPrior
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.settings import CDVAETrainSettings
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.methods.cdvae.train import energies_of
from flowllm.methods.diffcsp.batches import HeldOutNoise, NoiseBatches, cell_scale
from flowllm.methods.diffcsp.loss import DiffCSPMatcher
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.diffcsp.settings import DiffCSPTrainSettings
from flowllm.methods.flowmm.batches import BaseBatches, HeldOutCrystals, base_statistics
from flowllm.methods.flowmm.loss import FlowMMMatcher
from flowllm.methods.flowmm.refiner import FlowMMRefiner
from flowllm.methods.flowmm.settings import FlowMMTrainSettings
from flowllm.networks.cdvae.network import CDVAE
from flowllm.networks.cdvae.settings import CDVAEConfig
from flowllm.systems.protocols import Prior, Refiner
from flowllm.systems.system import FlowLLM
from flowllm.systems.training import MODEL
from flowllm.training.settings import NetworkTrainSettings, Task
from flowllm.workflows.train.splits import num_atoms_histogram
from recipes import prepared
from recipes.budgeted import Batch, Budget, on_device, train_within

SETTINGS: dict[str, type[Any]] = {
    "flowmm": FlowMMTrainSettings,
    "diffcsp": DiffCSPTrainSettings,
    "cdvae": CDVAETrainSettings,
}
SIZES: dict[str, dict[str, dict[str, int]]] = {
    "cpu": {name: {} for name in SETTINGS},
    "gpu": {
        "flowmm": {"hidden": 192, "layers": 5},
        "diffcsp": {"hidden": 176, "layers": 5},
        "cdvae": {"hidden": 96, "layers": 4},
    },
}
"""Size -> system -> what differs from the network of the CPU; two networks of "gpu" in float16 are
below 5 MB. A third size, "paper", has the paper's network and optimisation."""
STATE = "state.safetensors"
LOG = "log.jsonl"
Make = Callable[[CrystalSet, CrystalSet], tuple[torch.nn.Module, Dataset[Batch], list[Batch]]]


def settings_of(args: argparse.Namespace) -> Any:
    """The settings of a training: those of its size, and the options that were given."""
    kind = SETTINGS[args.command]
    if args.size == "paper" and args.command != "cdvae":
        chosen = kind.paper()
    elif args.size == "paper":  # ours is another network; these are the paper's widths
        network = CDVAEConfig(hidden=128, layers=4, basis=32, cutoff=7.0)
        chosen = replace(kind(), network=network, batch_size=256)
    else:
        chosen = kind()
        chosen = replace(chosen, network=replace(chosen.network, **SIZES[args.size][args.command]))
    given = {
        name: value for name in ("hidden", "layers") if (value := getattr(args, name)) is not None
    }
    more = {
        name: value
        for name, value in (
            ("epochs", args.epochs), ("batch_size", args.batch), ("learning_rate", args.rate),
            ("cell_weight", getattr(args, "cell_weight", None)),
        )
        if value is not None
    }  # fmt: skip
    network = replace(chosen.network, **given)
    return replace(chosen, network=network, seed=args.seed, **more)


class WithTeacher(Dataset[Batch]):
    """Batches of CDVAE whose cells are the true ones in a share of the minutes, not of the steps.

    Args:
        data: the batches.
        share: of the run.
        done: how much of the run is over.
    """

    def __init__(self, data: CrystalsInBatches, share: float, done: torch.Tensor) -> None:
        self.data, self.share, self.done = data, share, done

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, step: int) -> Batch:
        return self.data[step] | {"teacher": torch.tensor([float(self.done) < self.share])}


def literature(args: argparse.Namespace) -> None:
    """Train a system, or go on; OUT/model is what `flowllm generate --model` takes."""
    parts = prepared.load_crystals(args.folder)
    train, held_out = (parts[s][: args.rows or None] for s in prepared.SPLITS)
    settings = settings_of(args)
    prior, refiner = (of_cdvae if args.command == "cdvae" else of_tasks)(
        args, settings, train, held_out
    )
    system = FlowLLM(prior, refiner, num_atoms_histogram(train), training=TrainingRanges.of(train))
    system.save_pretrained(args.out / MODEL, half=True)


def of_tasks(
    args: argparse.Namespace, settings: Any, train: CrystalSet, held_out: CrystalSet
) -> tuple[Prior, Refiner]:
    """FlowMM or DiffCSP, a network for each task, which share the minutes evenly."""
    checked = held_out.crystals[: settings.validation_rows]
    tasks: tuple[Task, ...] = ("csp", "dng") if args.task == "both" else (args.task,)
    networks: dict[Task, Any] = {}
    prior = OpenPrior.fit(f"{args.command}-base", train.crystals)
    for task in tasks:
        draws = task == "dng"
        config = replace(settings.network, draws_species=draws)
        shape = (settings.batch_size, settings.epochs, settings.seed)
        torch.manual_seed(settings.seed)
        matcher: torch.nn.Module
        data: Dataset[Batch]
        if args.command == "flowmm":
            base = prior.geometry
            assert isinstance(base, SimpleBase)
            statistics = base_statistics(train.crystals, base, config.cell_map)
            matcher = FlowMMMatcher(config, statistics, settings)
            data = BaseBatches(train.crystals, base, config.cell_map, draws, *shape)
            fixed = HeldOutCrystals(checked, data).batches
        else:
            config = replace(config, cell_scale=round(cell_scale(train.crystals), 4))
            matcher = DiffCSPMatcher(config, settings)
            data = NoiseBatches(train.crystals, draws, *shape)
            fixed = HeldOutNoise(checked, data).batches
        if args.begin_with is not None:
            inner = matcher.velocity if args.command == "flowmm" else matcher.network
            go_on_from(inner, args.begin_with, args.command, task)
        average = run(args, settings, args.out / task, matcher, data, fixed, len(tasks))
        networks[task] = getattr(average, "velocity" if args.command == "flowmm" else "network")
    kind = FlowMMRefiner if args.command == "flowmm" else DiffCSPRefiner
    return prior, kind(networks, "cpu")


def go_on_from(network: torch.nn.Module, folder: Path, kind: str, task: Task | None = None) -> None:
    """Give a network the weights of a system that was trained before.

    Args:
        network: of the training that begins.
        folder: of the system, or its name.
        kind: of its refiner.
        task: of the network, where there are two.

    Raises:
        InputError: it is another system, has no such network, or one of another size.
    """
    refiner = FlowLLM.from_pretrained(folder, "cpu").refiner
    if refiner is None or refiner.kind != kind:
        raise InputError(f"{folder} is not a system of {kind}")
    if isinstance(refiner, CDVAERefiner):
        found: torch.nn.Module | None = refiner.model.network
    else:
        found = getattr(refiner, "networks", {}).get(task)
    if found is None:
        raise InputError(f"{folder} has no network for {task}")
    try:
        network.load_state_dict(found.state_dict())
    except RuntimeError as error:
        raise InputError(f"{folder}: its network has another size: {error}") from error


def of_cdvae(
    args: argparse.Namespace, settings: CDVAETrainSettings, train: CrystalSet, held_out: CrystalSet
) -> tuple[Prior, Refiner]:
    """CDVAE, all parts together."""
    config = replace(settings.network, max_atoms=train.max_atoms)
    statistics = CDVAEStatistics.fit(train.crystals, energies_of(train))
    torch.manual_seed(settings.seed)
    loss = CDVAELoss(CDVAE(config), statistics, settings)
    if args.begin_with is not None:
        go_on_from(loss.network, args.begin_with, args.command)

    def batches(some: CrystalSet, epochs: int, teacher_share: float) -> CrystalsInBatches:
        return CrystalsInBatches(
            some.crystals, energies_of(some), statistics, batch_size=settings.batch_size,
            epochs=epochs, seed=settings.seed, latent=config.latent,
            levels=settings.noise.noise_levels, teacher_share=teacher_share,
        )  # fmt: skip

    fixed = batches(held_out[: settings.validation_rows], 1, 0.0)
    data = batches(train, settings.epochs, settings.teacher_share)
    average = run(
        args, settings, args.out / "vae", loss, data, [*map(fixed.__getitem__, range(len(fixed)))]
    )
    model = CDVAEModel.of(average.network, statistics, settings.noise, "cpu")
    return CDVAEPrior(model.network.heads, statistics), CDVAERefiner(model)


def run(
    args: argparse.Namespace,
    settings: NetworkTrainSettings,
    out: Path,
    matcher: torch.nn.Module,
    data: Any,
    fixed: list[Batch],
    count: int = 1,
) -> torch.nn.Module:
    """Train one network with its loss in `out`, or go on.

    Args:
        args: device, minutes, steps.
        settings: of the training.
        out: folder for the state and the log.
        matcher: called with the entries of a batch.
        data: item k is the batch of step k.
        fixed: batches for validation.
        count: networks that share the minutes.

    Returns:
        The moving average, on the CPU.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device(args.device)
    matcher = matcher.to(device).train()
    steps = min(args.steps or len(data), len(data))
    budget = Budget(steps, args.budget / count, args.session / count)
    done = torch.zeros(()).share_memory_()
    if isinstance(data, CrystalsInBatches):
        data = WithTeacher(data, settings.teacher_share, done)  # type: ignore[attr-defined]
    held_out = [{name: v.to(device) for name, v in batch.items()} for batch in fixed]

    def loss(batch: Batch) -> torch.Tensor:
        return matcher(**batch)["loss"]

    @torch.no_grad()
    def check(model: torch.nn.Module) -> dict[str, float]:
        found = [model(**batch) for batch in held_out]
        names = found[0] if found else ()
        return {f"eval_{n}": round(float(np.mean([float(f[n]) for f in found])), 5) for n in names}

    def batches(first: int) -> Iterator[Batch]:
        done.fill_(budget.done)
        for batch in on_device(data, args.workers, device, first, steps):
            yield batch
            done.fill_(budget.done)

    average = train_within(
        matcher, batches, loss, budget, out / LOG, rate=settings.learning_rate,
        weight_decay=settings.weight_decay, optimizer_name=settings.optimizer,
        ema_decay=settings.ema_decay, checks=args.checks, check=check, state=out / STATE,
    )  # fmt: skip
    if budget.done < 1:
        print(f"{out} is paused after {budget.step} of {steps} steps; run it again to go on")
    return average.cpu()
