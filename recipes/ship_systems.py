"""Pack trained systems into `flowllm/pretrained`, from folders of `flowllm train` or `recipes.gpu`.

    python -m recipes.ship_systems --flowmm runs/flowmm --types runs/types
    python -m recipes.ship_systems --diffcsp runs/diffcsp --start 0.9 --machine "2 cores"

What ships is weights in float16, sizes and statistics, and `training.json` with the settings of
each step and the last figures of its log. A part of a model that ships already is named, not
copied. With --start come two records of CrysLLMGen, which name DiffCSP's network and the language
models of `mp20-compact` and of `mp20-symmetric`; their crystals enter the diffusion at that time.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from flowllm.data.sources import SPLITS
from flowllm.errors import InputError
from flowllm.runs.files import read_record, remove, write_json
from flowllm.runs.folder import RUN, RunFolder
from flowllm.systems.parts import PRETRAINED
from flowllm.systems.recipes import recipe
from flowllm.systems.training import MODEL
from flowllm.training.checkpoints import CHECKPOINTS
from flowllm.training.log import LOG, read_log
from flowllm.workflows.train.package import package

DATA = "mp_20"
NAMES = {
    "flowmm": "mp20-flowmm",
    "diffcsp": "mp20-diffcsp",
    "cdvae": "mp20-cdvae",
    "flowllm-types": "mp20-types",
}
"""Recipe -> model that ships."""
MIXED = {
    "crysllmgen": ("mp20-crysllmgen", "mp20-compact/lm"),
    "crysllmgen-symmetric": ("mp20-crysllmgen-symmetric", "mp20-symmetric/prior/lm"),
}
"""Recipe -> model, and the language model whose crystals enter the diffusion."""
TRAINING, ARGUMENTS = "training.json", "arguments.json"
MOST_BYTES = 5 * 2**20
FREE_FIGURES = ("speed",)  # of the machine at that hour


def ship(name: str, run: Path, home: Path, data: str = DATA, machine: str = "") -> Path:
    """Pack one trained system.

    Args:
        name: of its recipe.
        run: the folder that `flowllm train` or `recipes.gpu` wrote.
        home: where models lie.
        data: the data set it was trained on.
        machine: on which it was trained, for `training.json`.

    Raises:
        InputError: it is not finished, or the model is larger than `MOST_BYTES`.
    """
    made_of, out = recipe(name), home / NAMES[name]
    trained_by_gpu = (run / ARGUMENTS).is_file()
    for step in () if trained_by_gpu else made_of.steps:
        if not (run / step / RUN).is_file() or RunFolder.read(run / step)["status"] != "finished":
            raise InputError(f"{run / step} is not finished")
    place = run / MODEL if trained_by_gpu else run
    prior, refiner = place / "prior", place / "refiner"
    package(made_of, prior, refiner, data, out, name=name, share=True, overwrite=True)
    write_json(out / TRAINING, {"machine": machine} | described(run))
    return _checked(out)


def mix(name: str, home: Path, start: float, data: str = DATA) -> Path:
    """Write the record of a system whose parts are those of others.

    Args:
        name: of its recipe.
        home: where models lie, DiffCSP's among them.
        start: the time at which crystals enter the refiner.
        data: the data set.

    Raises:
        InputError: a part does not ship yet.
    """
    model, language_model = MIXED[name]
    made_of = replace(recipe(name), start=start)
    refiner = home / NAMES["diffcsp"] / "refiner"
    package(
        made_of, PRETRAINED / language_model, refiner, data, home / model, name=name, share=True,
        overwrite=True,
    )  # fmt: skip
    return _checked(home / model)


def described(run: Path) -> dict[str, Any]:
    """Settings and last figures of each part of a training, without paths and hashes of files."""
    found: dict[str, Any] = {}
    if (run / ARGUMENTS).is_file():
        given = read_record(run / ARGUMENTS)
        found["arguments"] = {k: v for k, v in given.items() if _is_telling(v)}
    for file in sorted(run.rglob(RUN)):
        where = file.parent.relative_to(run)
        if CHECKPOINTS in where.parts or MODEL in where.parts or "chunks" in where.parts:
            continue
        record = RunFolder.read(file.parent)
        settings = {k: v for k, v in record["settings"].items() if _is_telling(v)}
        more = {k: v for k, v in record.items() if k not in ("settings", "status", "command")}
        about = {"settings": settings} | more
        if isinstance(about.get("summary"), dict):
            about["summary"] = {k: v for k, v in about["summary"].items() if k not in FREE_FIGURES}
        found[where.as_posix()] = about
    for file in sorted(run.rglob(LOG)):
        where = file.parent.relative_to(run)
        if CHECKPOINTS in where.parts or MODEL in where.parts:
            continue
        last: dict[str, Any] = {}
        for line in read_log(file):  # the last value of each figure, of training and validation
            last |= line
        found.setdefault(where.as_posix(), {})["figures"] = last
    return found


def _is_telling(value: Any) -> bool:
    """Whether a setting may ship: not the path of a data set of this machine."""
    return not isinstance(value, str) or value in SPLITS or "/" not in value


def _checked(out: Path) -> Path:
    """Take the logs away and refuse a model that is too large."""
    for log in out.rglob(LOG):
        remove(log)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        raise InputError(f"{out} has {size:,} bytes, more than {MOST_BYTES:,}")
    print(f"{out}: {size:,} bytes")
    return out


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in NAMES:
        option = name.removeprefix("flowllm-")
        parser.add_argument(f"--{option}", dest=name, type=Path, help="folder of flowllm train")
    parser.add_argument("--start", type=float, help="of CrysLLMGen; writes its two records")
    parser.add_argument("--machine", default="", help="on which the systems were trained")
    parser.add_argument("--data", default=DATA)
    args = vars(parser.parse_args())
    try:
        for name in NAMES:
            if args[name] is not None:
                ship(name, args[name], PRETRAINED, args["data"], args["machine"])
        if args["start"] is not None:
            for name in MIXED:
                mix(name, PRETRAINED, args["start"], args["data"])
    except InputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
