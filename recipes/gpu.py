"""Train the systems' networks on one GPU, from prepared arrays, in given minutes.

    python -m recipes.gpu prepare FOLDER
    python -m recipes.gpu language-model FOLDER OUT --canonical --budget 5 --shard-size 16
    python -m recipes.gpu equivariant FOLDER OUT --pairs-share 0.4 --softness 0.005 --budget 6
    python -m recipes.gpu prepare FOLDER --crystals-only
    python -m recipes.gpu flowmm FOLDER OUT --size gpu --budget 10 --session 5
    python -m recipes.gpu diffcsp FOLDER OUT --size paper --batch 256 --budget 60
    python -m recipes.gpu cdvae FOLDER OUT --budget 10

All but `prepare` need torch and transformers, ase and spglib, but no data set, hub or pymatgen.
They stop in time, with the learning rate come down. They run on a CPU too, in miniature:
`--rows 256 --steps 20`. The last three keep their state: the same command goes on after an
interruption, or after the minutes of `--session`; OUT/model is a system for `flowllm generate`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

LITERATURE = ("flowmm", "diffcsp", "cdvae")
FREE = ("folder", "out", "budget", "session", "workers", "device", "checks", "task")
"""Arguments that may differ when a training is gone on with."""


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
    part.add_argument("--crystals-only", action="store_true", help="what the last three need")
    part = commands.add_parser("language-model", parents=[training])
    for name, value in {"hidden": 320, "layers": 6, "heads": 5, "feed-forward": 832,
                        "epochs": 40, "batch": 256, "shard-size": 16}.items():  # fmt: skip
        part.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"rate": 2.5e-3, "weight-decay": 0.5, "dropout": 0.1}.items():
        part.add_argument(f"--{name}", type=float, default=value)
    part.add_argument("--canonical", action="store_true", help="one text of each crystal")
    part = commands.add_parser("equivariant", parents=[training])
    for name, value in {"hidden": 96, "layers": 4, "epochs": 35, "batch": 128}.items():
        part.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"rate": 1e-2, "weight-decay": 0.1, "softness": 0.01, "cutoff": 5.0,
                        "ema": 0.999, "pairs-share": 0.0}.items():  # fmt: skip
        part.add_argument(f"--{name}", type=float, default=value)
    for name in LITERATURE:
        part = commands.add_parser(name, parents=[training])
        part.add_argument("--size", choices=("cpu", "gpu", "paper"), default="cpu")
        part.add_argument("--session", type=float, default=0, help="minutes of this process")
        part.add_argument("--checks", type=int, default=8, help="validations, and states kept")
        for option in ("hidden", "layers", "epochs", "batch"):
            part.add_argument(f"--{option}", type=int, help="in place of that of the size")
        part.add_argument("--rate", type=float, help="in place of that of the size")
        part.add_argument("--begin-with", type=Path, help="a system whose weights to go on from")
        if name == "flowmm":
            part.add_argument("--cell-weight", type=float, help="of the cell's loss")
        if name != "cdvae":
            part.add_argument("--task", choices=("both", "csp", "dng"), default="both")
    args = parser.parse_args()
    if args.command != "prepare":
        args.out.mkdir(parents=True, exist_ok=True)
        chosen = {name: str(value) for name, value in vars(args).items()}
        file = args.out / "arguments.json"
        before = json.loads(file.read_text()) if file.is_file() else chosen
        changed = [n for n in chosen if n not in FREE and before.get(n) != chosen[n]]
        if args.command in LITERATURE and changed:
            parser.error(f"{args.out} holds a training with another {changed[0]}; choose another")
        file.write_text(json.dumps(chosen, indent=1))
    # what only one of them needs is not imported for the others
    if args.command == "prepare":
        from recipes.prepare import prepare

        prepare(args.folder, args.wordings, args.rows, args.crystals_only)
    elif args.command == "language-model":
        from recipes.train_texts import language_model

        language_model(args)
    elif args.command == "equivariant":
        from recipes.train_noise import equivariant

        equivariant(args)
    else:
        from recipes.train_literature import literature

        literature(args)


if __name__ == "__main__":
    main()
