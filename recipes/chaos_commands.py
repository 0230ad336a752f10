"""The long commands that `recipes.chaos` disturbs, each on a few crystals."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

ROWS = 120
TRAIN = (
    "--prior-hidden 16 --prior-layers 1 --prior-heads 2 --prior-feed-forward 24 --prior-epochs 4 "
    "--prior-batch-size 9 --prior-checkpoint-steps 4 --prior-validation-rows 3 --prior-threads 1 "
    "--pairs-num-pairs 24 --pairs-perturbed 12 --refiner-hidden 16 --refiner-layers 1 "
    "--refiner-time-dim 8 --refiner-epochs 6 --refiner-batch-size 6 --refiner-save-steps 4 "
    "--refiner-eval-steps 8 --refiner-log-steps 2 --device cpu"
)


@dataclass(frozen=True)
class LongCommand:
    """A command, its arguments with {work} and {out}, and the files that it must end with."""

    name: str
    arguments: str
    files: tuple[str, ...]

    def words(self, work: Path, out: Path) -> list[str]:
        """The words of its command line; FLOWLLM commands are named by their first."""
        return [word.format(work=work, out=out) for word in self.arguments.split()]


COMMANDS = (
    LongCommand("data", "data {work}/own.csv --random-split --workers 1 --out {out}",
                ("train.npz", "val.npz", "test.npz")),
    LongCommand("train", "train flowllm {work}/data --out {out} " + TRAIN,
                ("prior/model.safetensors", "prior/log.jsonl", "pairs/pairs.npz",
                 "refiner/model.safetensors", "refiner/log.jsonl", "model")),
    LongCommand("generate", "generate --num 40 --elements Na,Cl,O --device cpu --out {out}",
                ("crystals.csv", "crystals", "prior", "trajectories.npz", "summary.json")),
    LongCommand("refine", "refine {work}/cifs/0.cif {work}/cifs/1.cif --steps 5 --device cpu "
                "--out {out}",
                ("crystals.csv", "crystals", "trajectories.npz")),
    LongCommand("evaluate", "evaluate {work}/cifs --relax-steps 5 --workers 1 --out {out}",
                ("per_crystal.csv", "summary.json")),
    LongCommand("adherence", "adherence --data {work}/data --split train --kinds formula,num-atoms "
                "--num 20 --workers 1 --device cpu --out {out}",
                ("per_crystal.csv", "table.md", "summary.json")),
    LongCommand("reference", "reference --data {work}/data --workers 1 --out {out}",
                ("test.npz", "values.npz", "scaler.json", "crystals.npz", "reference.json")),
    LongCommand("infill", "infill {work}/cifs/0.cif --sites 1 --num 4 --device cpu --out {out}",
                ("proposals.csv", "summary.json")),
    LongCommand("export", "export {work}/cifs --vasp --out {out}", (".",)),
)  # fmt: skip


def prepare(work: Path, run: Callable[[list[str]], tuple[int, str]]) -> None:
    """The input of all commands: a table of MP-20's rows, a few CIF files, a prepared data set."""
    source = Path(os.environ["FLOWLLM_DATA_DIR"]) / "mp_20" / "val.csv.gz"
    with gzip.open(source, "rt") as file:
        rows = list(islice(csv.DictReader(file), ROWS))
    with (work / "own.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    (work / "cifs").mkdir()
    for place, row in enumerate(rows[:12]):
        (work / "cifs" / f"{place}.cif").write_text(row["cif"])
    code, text = run(COMMANDS[0].words(work, work / "data"))
    if code:
        raise SystemExit(f"the data cannot be prepared:\n{text}")
