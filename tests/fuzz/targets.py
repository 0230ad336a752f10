"""What is fuzzed: a target makes an input from a number and reads it, or raises InputError."""

from __future__ import annotations

import contextlib
import io
import random
import re
import resource
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase.io  # noqa: F401 - what takes seconds to import is no part of an input's time
import pymatgen.io.cif  # noqa: F401

from flowllm.cli import main
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.data import load_dataset
from flowllm.data.compact import read_split
from flowllm.errors import InputError
from flowllm.evaluation.metric import Metric  # noqa: F401
from flowllm.evaluation.reference import Reference
from flowllm.evaluation.report import Report
from flowllm.methods.base.prior import BasePrior  # noqa: F401
from flowllm.methods.flow.refiner import FlowRefiner  # noqa: F401
from flowllm.methods.language_model.prior import LanguageModelPrior  # noqa: F401
from flowllm.stability import AnionShift, HullTable
from flowllm.stability.reference_energies import ElementalReferences
from flowllm.systems.system import FlowLLM
from tests.fuzz.corpus import FORMULAS, PROMPT
from tests.fuzz.mutations import WORDS, mutated_file, mutated_folder, mutated_text

RAW = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning)\b|Traceback| object at 0x|\[Errno")
"""What no message for a person holds: names of exceptions and of objects."""
MOST_MEMORY = 1.5e9  # bytes by which one input may make the process grow


@dataclass(frozen=True)
class Case:
    """One input: target and number say all of it."""

    target: str
    number: int
    corpus: str


@dataclass(frozen=True)
class Fault:
    """What went wrong, and the input as far as it can be shown."""

    what: str
    shown: str


def run_case(case: Case) -> Fault | None:
    """Make the input, read it, and say what was wrong; nothing where all was right."""
    rng = random.Random(f"{case.target} {case.number}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory(prefix="fuzz") as room, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = [""]
        try:
            TARGETS[case.target](rng, Path(case.corpus), Path(room), shown)
        except InputError as error:
            if RAW.search(str(error).replace(room, "")) or "\n" in str(error).strip():
                return Fault(f"message: {error}"[:500], shown[0])
        except OSError as error:
            if error.errno is None:
                return Fault(traceback.format_exc(), shown[0])
        except Exception:
            return Fault(traceback.format_exc(), shown[0])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return Fault(f"{grown / 1e9:.1f} GB", shown[0]) if grown > MOST_MEMORY else None


def _changed_file(
    rng: random.Random, corpus: Path, room: Path, shown: list[str], pattern: str = "*"
) -> Path:
    files = sorted((corpus / "files").glob(pattern))
    source, other = rng.choice(files), rng.choice(files)
    content = mutated_file(source.name, source.read_bytes(), other.read_bytes(), rng)
    path = room / source.name
    path.write_bytes(content)
    shown[0] = f"{source.name}: {content[:2000]!r}"
    return path


def _readers(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    from flowllm.inputs import read_inputs

    found = read_inputs(_changed_file(rng, corpus, room, shown), workers=1)
    for reason in [*found.reasons.tolist(), *found.remarks.tolist(), *found.notes]:
        if RAW.search(reason):
            raise AssertionError(f"a reason for nobody: {reason}")


def _archives(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    from flowllm.inputs import read_inputs

    if rng.random() < 0.3:
        _reference(rng, corpus, room, shown)
        return
    path = _changed_file(rng, corpus, room, shown, "*.npz")
    readers: list[Callable[[Path], object]] = [
        CrystalBatch.load, Trajectory.load, lambda file: read_inputs(file, workers=1)
    ]  # fmt: skip
    rng.choice(readers)(path)


def _reference(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    """The files that an evaluation compares with, and the evaluation itself."""
    if rng.random() < 0.3:
        mutated_folder(corpus / "runs" / "evaluate", room / "run", rng)
        shown[0] = "evaluation"
        Report.load(room / "run")
        return
    source = rng.choice(sorted((corpus / "reference").iterdir()))
    if source.is_dir():
        mutated_folder(source, room / "reference", rng)
        shown[0] = "reference"
        reference = Reference.load(room / "reference")
        reference.scaler()
        reference.values("density")
        return
    content = mutated_file(source.name, source.read_bytes(), b"", rng)
    (room / source.name).write_bytes(content)
    shown[0] = f"{source.name}: {content[:2000]!r}"
    readers: dict[str, Callable[[Path], object]] = {
        "hull.npz": HullTable.load,
        "crystals.npz": lambda path: read_split(path, "val"),
        "chgnet_shift.json": AnionShift.load,
        "elements.json": ElementalReferences.from_json,
    }
    readers[source.name](room / source.name)


def _formulas(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    from flowllm.conditions.request import Request

    text = mutated_text(rng.choice(FORMULAS), rng.choice(FORMULAS), rng)
    name = rng.choice(("formula", "composition", "elements", "space_group"))
    shown[0] = f"{name}={text!r}"
    Request.read(prompts=(), **{name: text})


def _prompts(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    from flowllm.text import read_prompts

    lines = [rng.choice((PROMPT, *FORMULAS, *WORDS)) for _ in range(rng.randrange(1, 5))]
    text = mutated_text("\n".join(lines) + "\n", PROMPT, rng)
    path = room / "prompts.txt"
    path.write_bytes(text.encode(rng.choice(("utf-8", "utf-16", "utf-8-sig")), "replace"))
    shown[0] = repr(text[:2000])
    read_prompts(path)


def _runs(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    from flowllm.inputs import read_inputs

    name = rng.choice(("generate", "evaluate", "data"))
    mutated_folder(corpus / "runs" / name, room / "run", rng)
    shown[0] = name
    files = corpus / "files"
    again = {
        "generate": ["generate", "--num", "2", "--elements", "Na,Cl", "--num-atoms", "2", "--steps",
                     "1", "--device", "cpu"],
        "evaluate": ["evaluate", str(files / "batch.npz"), "--only", "validity,novelty",
                     "--workers", "1"],
        "data": ["data", str(files / "table.csv"), "--random-split", "--workers", "1"],
    }[name]  # fmt: skip
    if name == "data" and rng.random() < 0.7:
        load_dataset(room / "run", rng.choice(("train", "val", "test")))
    elif name == "generate" and rng.random() < 0.7:
        read_inputs(room / "run", workers=1)
    else:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([*again, "--out", str(room / "run")])
        if code not in (0, 2) or RAW.search(said.getvalue()):
            raise AssertionError(f"exit code {code}: {said.getvalue()[-500:]}")


def _weights(rng: random.Random, corpus: Path, room: Path, shown: list[str]) -> None:
    shutil.copytree(corpus / rng.choice(("system", "base")), room / "system")
    texts = sorted(p for p in (room / "system").rglob("*.json") if p.stat().st_size < 100_000)
    path = rng.choice(texts)
    content = path.read_bytes()
    path.write_bytes(mutated_file(path.name, content, content, rng))
    shown[0] = f"{path.name}: {path.read_bytes()[:2000]!r}"
    FlowLLM.from_pretrained(room / "system", "cpu")


TARGETS: dict[str, Callable[[random.Random, Path, Path, list[str]], None]] = {
    "readers": _readers,
    "archives": _archives,
    "formulas": _formulas,
    "prompts": _prompts,
    "runs": _runs,
    "weights": _weights,
}
