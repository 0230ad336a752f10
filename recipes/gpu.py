"""Train language model and equivariant flow on one GPU, from prepared arrays, in given minutes.

    python -m recipes.gpu prepare FOLDER
    python -m recipes.gpu language-model FOLDER OUT --budget 5 --shard-size 16
    python -m recipes.gpu equivariant FOLDER OUT --budget 5

The second and third need torch and transformers, ase and spglib, but no data set, hub or pymatgen.
They run on a CPU too, in miniature: `--rows 256 --steps 20`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from flowllm.methods.equivariant.loss import EquivariantMatcher, Warming
from flowllm.methods.equivariant.noise import noisy_batch
from flowllm.methods.equivariant.pairs import PredictedPairs
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantTrainSettings
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.language_model.compact import build_compact
from flowllm.methods.language_model.format_file import save_format
from flowllm.methods.language_model.regularise import residual_dropout
from flowllm.methods.language_model.settings import CompactConfig
from flowllm.networks.equivariant.neighbours import neighbours
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.text.formats.registry import make_format
from flowllm.text.tokenizer import build_tokenizer, load_tokenizer
from recipes import prepared
from recipes.budgeted import (
    ENDLESS,
    Batch,
    Budget,
    TextBatches,
    nats_per_crystal,
    on_device,
    precision,
    summed_nats,
    train_within,
)

FORMAT, MAX_ATOMS = "wyckoff", 20


def prepare(args: argparse.Namespace) -> None:
    """Write the arrays of MP-20."""
    from flowllm.workflows.train.splits import training_splits

    args.folder.mkdir(parents=True, exist_ok=True)
    train, held_out = training_splits("mp_20")
    if args.rows:
        train, held_out = train[: args.rows], held_out[: args.rows]
    chosen = make_format(FORMAT, MAX_ATOMS)
    tokenizer = build_tokenizer(chosen)
    tokenizer.save_pretrained(args.folder / prepared.TOKENIZER)
    texts = {"train": prepared.prepare_texts(train, tokenizer, chosen, args.wordings, True)}
    for name, given in prepared.HELD_OUT.items():
        texts[name] = prepared.prepare_texts(held_out, tokenizer, chosen, 1, False, given)
    prepared.save_texts(args.folder, texts)
    targets = {"train": train, "val": held_out}
    prepared.save_targets(
        args.folder, {name: SymmetricTargets.of(part.crystals) for name, part in targets.items()}
    )


def language_model(args: argparse.Namespace) -> None:
    """Train a compact model of the symmetric text."""
    device = torch.device(args.device)
    torch.backends.cuda.matmul.allow_tf32 = True
    texts = prepared.load_texts(args.folder)
    tokenizer = load_tokenizer(args.folder / prepared.TOKENIZER)
    config = CompactConfig(
        hidden=args.hidden, layers=args.layers, heads=args.heads, feed_forward=args.feed_forward
    )
    model = build_compact(tokenizer, config, args.seed).to(device).train()
    train = texts["train"] if not args.rows else texts["train"].head(args.rows)
    size = min(args.batch, len(train))
    steps = args.steps or args.epochs * (len(train) // size)
    tokens = float(np.mean(train.answers.lengths))

    def loss(batch: Batch) -> torch.Tensor:
        with precision(device):
            return summed_nats(model, batch)[0] / (size * tokens)

    def check(model: torch.nn.Module) -> dict[str, float]:
        return {
            name: round(nats_per_crystal(model, texts[name], device), 4)
            for name in prepared.HELD_OUT
        }

    batches = on_device(TextBatches(train, size, args.seed, args.canonical), args.workers, device)
    with residual_dropout(model, args.dropout):
        train_within(
            model, batches, loss, Budget(steps, args.budget), args.out / "log.jsonl",
            rate=args.rate, weight_decay=args.weight_decay, check=check,
        )  # fmt: skip
    model.half().save_pretrained(args.out, max_shard_size=f"{args.shard_size}MB")
    tokenizer.save_pretrained(args.out)
    save_format(make_format(FORMAT, MAX_ATOMS), args.out)


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


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("folder", type=Path)
    common.add_argument("--rows", type=int, default=0, help="take only the first crystals")
    training = argparse.ArgumentParser(add_help=False, parents=[common])
    training.add_argument("out", type=Path)
    training.add_argument("--budget", type=float, default=0, help="minutes")
    training.add_argument("--steps", type=int, default=0, help="in place of epochs")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--workers", type=int, default=2, help="processes that make batches")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    part = commands.add_parser("prepare", parents=[common])
    part.add_argument("--wordings", type=int, default=16, help="prompts of each crystal")
    part = commands.add_parser("language-model", parents=[training])
    for name, value in {"hidden": 320, "layers": 6, "heads": 5, "feed-forward": 832,
                        "epochs": 40, "batch": 256, "shard-size": 16}.items():  # fmt: skip
        part.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"rate": 2.5e-3, "weight-decay": 0.5, "dropout": 0.1}.items():
        part.add_argument(f"--{name}", type=float, default=value)
    part.add_argument("--canonical", action="store_true", help="one text of each crystal")
    part = commands.add_parser("equivariant", parents=[training])
    for name, value in {"hidden": 96, "layers": 4, "epochs": 100, "batch": 128}.items():  # fmt: skip
        part.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"rate": 1e-2, "weight-decay": 0.1, "softness": 0.01, "cutoff": 5.0,
                        "ema": 0.999, "pairs-share": 0.0}.items():  # fmt: skip
        part.add_argument(f"--{name}", type=float, default=value)
    args = parser.parse_args()
    if args.command != "prepare":
        args.out.mkdir(parents=True, exist_ok=True)
        chosen = {name: str(value) for name, value in vars(args).items()}
        (args.out / "arguments.json").write_text(json.dumps(chosen, indent=1))
    run = {"prepare": prepare, "language-model": language_model, "equivariant": equivariant}
    run[args.command](args)


if __name__ == "__main__":
    main()
