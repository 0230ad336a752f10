"""Train language model and equivariant flow on one GPU, from prepared arrays, in given minutes.

    python -m recipes.gpu prepare FOLDER
    python -m recipes.gpu language-model FOLDER OUT --canonical --budget 5 --shard-size 16
    python -m recipes.gpu equivariant FOLDER OUT --pairs-share 0.4 --softness 0.005 --budget 6

The second and third need torch and transformers, ase and spglib, but no data set, hub or pymatgen.
They stop in time, with the learning rate come down. They run on a CPU too, in miniature:
`--rows 256 --steps 20`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch


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
    for name, value in {"hidden": 96, "layers": 4, "epochs": 35, "batch": 128}.items():
        part.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"rate": 1e-2, "weight-decay": 0.1, "softness": 0.01, "cutoff": 5.0,
                        "ema": 0.999, "pairs-share": 0.0}.items():  # fmt: skip
        part.add_argument(f"--{name}", type=float, default=value)
    args = parser.parse_args()
    if args.command != "prepare":
        args.out.mkdir(parents=True, exist_ok=True)
        chosen = {name: str(value) for name, value in vars(args).items()}
        (args.out / "arguments.json").write_text(json.dumps(chosen, indent=1))
    # what only one of the three needs is not imported for the others
    if args.command == "prepare":
        from recipes.prepare import prepare

        prepare(args.folder, args.wordings, args.rows)
    elif args.command == "language-model":
        from recipes.train_texts import language_model

        language_model(args)
    else:
        from recipes.train_noise import equivariant

        equivariant(args)


if __name__ == "__main__":
    main()
