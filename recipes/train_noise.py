"""Train the equivariant flow from prepared arrays, within a number of minutes."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.methods.equivariant.loss import EquivariantMatcher, Warming
from flowllm.methods.equivariant.noise import noisy_batch
from flowllm.methods.equivariant.pairs import PredictedPairs
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantTrainSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.networks.equivariant.neighbours import neighbours
from flowllm.networks.equivariant.settings import EquivariantConfig
from recipes import prepared
from recipes.budgeted import ENDLESS, Batch, Budget, on_device, train_within


class NoisyTargets(Dataset[Batch]):
    """Batches without end, whose noise comes down as the run goes on."""

    def __init__(
        self,
        targets: SymmetricTargets,
        settings: EquivariantTrainSettings,
        done: torch.Tensor,
        pairs: PredictedPairs | None,
    ) -> None:
        self.targets, self.settings, self.done, self.pairs = targets, settings, done, pairs
        self.warm = Warming(
            settings.warm_share, settings.warm_smallest, settings.warm_softness, settings.softness
        )

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.settings.seed, step])
        done, warm, noise = float(self.done), self.warm, self.settings.noise
        smallest = warm.at(done, warm.smallest, noise.smallest)
        size = min(self.settings.batch_size, len(self.targets))
        rows = np.sort(rng.choice(len(self.targets), size, replace=False))
        starts = None
        if self.pairs is not None:
            share = self.settings.pairs_share
            starts = self.pairs.draw(rows, self.targets.num_atoms, share, rng)
        noise = replace(noise, smallest=smallest)
        batch = noisy_batch(self.targets[rows], noise, rng, starts=starts)
        softness = warm.at(done, warm.first_softness, warm.softness)
        return with_edges(batch, self.settings.network.cutoff) | {
            "softness": torch.tensor([softness])
        }


def with_edges(batch: Batch, cutoff: float) -> Batch:
    """A batch with its neighbours: a GPU would wait for their numbers in every step."""
    found = neighbours(batch["frac_coords"], batch["lattices"], batch["num_atoms"], cutoff)
    return batch | found._asdict()


def held_out_batches(
    args: argparse.Namespace,
    targets: SymmetricTargets,
    settings: EquivariantTrainSettings,
    device: torch.device,
) -> dict[str, list[Batch]]:
    """Copies of held-out crystals, from noise and, where they are used, from pairs alone."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Batch]] = {"noise": [], "pairs": []}
    pairs = PredictedPairs.load(args.folder / prepared.PAIRS, "val") if args.pairs_share else None
    for kind, batches in found.items():
        for _ in range(4 if kind == "noise" or pairs else 0):
            rows = np.sort(rng.choice(len(targets), min(256, len(targets)), replace=False))
            starts = None
            if kind == "pairs" and pairs is not None:
                rows = rows[np.isin(rows, pairs.row)]
                starts = pairs.draw(rows, targets.num_atoms, 1.0, rng)
            batch = noisy_batch(targets[rows], settings.noise, rng, starts=starts)
            batch = with_edges(batch, settings.network.cutoff)
            batches.append({name: value.to(device) for name, value in batch.items()})
    return {kind: batches for kind, batches in found.items() if batches}


def equivariant(args: argparse.Namespace) -> None:
    """Train the equivariant flow."""
    device = torch.device(args.device)
    parts = prepared.load_targets(args.folder)
    train = parts["train"][np.arange(args.rows)] if args.rows else parts["train"]
    config = EquivariantConfig(hidden=args.hidden, layers=args.layers, cutoff=args.cutoff)
    settings = EquivariantTrainSettings(
        network=config, batch_size=args.batch, seed=args.seed, softness=args.softness,
        weight_decay=args.weight_decay, pairs_share=args.pairs_share,
    )  # fmt: skip
    pairs = None
    if args.pairs_share:
        pairs = PredictedPairs.load(args.folder / prepared.PAIRS)
        pairs.check(parts["train"])
        pairs = pairs.of(np.arange(len(train)), parts["train"].num_atoms)
    torch.manual_seed(args.seed)
    matcher = EquivariantMatcher(config, settings.strain_weight, settings.softness).to(device)
    steps = args.steps or args.epochs * (len(train) // min(args.batch, len(train)))
    budget, done = Budget(steps, args.budget), torch.zeros(()).share_memory_()
    fixed = held_out_batches(args, parts["val"], settings, device)

    def loss(batch: Batch) -> torch.Tensor:
        done.fill_(budget.done)
        return matcher(**batch)["loss"]

    @torch.inference_mode()
    def check(model: torch.nn.Module) -> dict[str, float]:
        return {
            f"{kind}_{name}": round(float(np.mean([float(model(**b)[name]) for b in batches])), 5)
            for kind, batches in fixed.items()
            for name in ("displacement_loss", "strain_loss")
        }

    batches = on_device(NoisyTargets(train, settings, done, pairs), args.workers, device)
    average = train_within(
        matcher, batches, loss, budget, args.out / "log.jsonl",
        rate=args.rate, weight_decay=args.weight_decay, ema_decay=args.ema, check=check,
    )  # fmt: skip
    EquivariantRefiner(average.network, str(device)).save(args.out, True)
