"""Input and output of an evaluation stage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.evaluation.metric import Metric
from flowllm.runs.files import read_json, write_json
from flowllm.runs.identity import digest
from flowllm.runs.parts import Parts, Wanted
from flowllm.runs.progress import ItemProgress, Progress

if TYPE_CHECKING:
    from flowllm.evaluation.reference import Reference
    from flowllm.evaluation.settings import EvaluateSettings
    from flowllm.inputs import Inputs


class Arrays(Protocol):
    """A result that can be stored as named arrays and restored from them."""

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The result as arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Inverse of `arrays`."""
        ...


R = TypeVar("R", bound=Arrays)
CHECK = "check"  # name of the digest of a stage's other values in its file
PART = 256  # crystals whose results are kept together while a stage runs


@dataclass(frozen=True)
class StageResult:
    """Results of a stage for B readable crystals.

    Attributes:
        columns: name -> B values for the table of crystals; None where there is none.
        metrics: its figures.
        protocol: setting -> value, beside which they are to be read.
        reasons: place of a crystal -> what went wrong with it, in words.
    """

    columns: dict[str, list[Any]] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    protocol: dict[str, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write JSON."""
        columns = {name: [_plain(v) for v in values] for name, values in self.columns.items()}
        content = {
            "columns": columns,
            "metrics": [metric.to_json() for metric in self.metrics],
            "protocol": self.protocol,
            "reasons": {str(place): text for place, text in self.reasons.items()},
        }
        write_json(path, {**content, CHECK: _check_of(content)})

    @classmethod
    def load(cls, path: Path) -> StageResult:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or damaged, or was changed.
        """
        content = read_json(path)
        try:
            check = content.pop(CHECK, None)
            if check not in (None, _check_of(content)):  # None in files of earlier versions
                raise InputError(f"{path} is damaged: it is not what was written")
            return cls(
                {str(name): list(values) for name, values in content["columns"].items()},
                [Metric.from_json(row) for row in content["metrics"]],
                dict(content["protocol"]),
                {int(place): text for place, text in content["reasons"].items()},
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged: {first_line(error)}") from error

    def column(self, name: str, dtype: type = float) -> np.ndarray:
        """A column as (B,) numbers, NaN if missing, or bool, False if missing."""
        values = self.columns[name]
        if dtype is bool:
            return np.array([bool(v) for v in values], dtype=bool)
        return np.array([math.nan if v is None else v for v in values], dtype=dtype)


@dataclass(frozen=True)
class Work:
    """The input of a stage.

    Attributes:
        inputs: rows and crystals.
        reference: what the crystals are compared with.
        settings: of the evaluation.
        folder: where the stage keeps finished parts and what it leaves for people.
        results: of the stages before it.
        executor: where it computes; None for processes of its own.
        workers: how many.
        progress: callback.
        stage: its name.
    """

    inputs: Inputs
    reference: Reference
    settings: EvaluateSettings
    folder: Path
    results: dict[str, StageResult]
    executor: Executor | None
    workers: int | None
    progress: Progress | None
    stage: str

    @property
    def crystals(self) -> CrystalBatch:
        """The B readable crystals."""
        return self.inputs.crystals

    @property
    def total(self) -> int:
        """The denominator of every rate: all inputs, and samples rejected earlier."""
        return len(self.inputs) + self.inputs.rejected

    @property
    def usable(self) -> np.ndarray:
        """(B,) bool: valid structures, periodic images of the same atom not counted (papers)."""
        return self.results["validity"].column("valid_structure_no_self_image", bool)

    def report(self, done: int, total: int) -> None:
        """Report progress under the stage's name."""
        if self.progress is not None:
            self.progress(self.stage, done, total)

    def in_parts(
        self,
        places: np.ndarray,
        compute: Callable[[np.ndarray, ItemProgress], R],
        kind: type[R],
        size: int = PART,
    ) -> list[R]:
        """Compute in parts that are saved; finished parts are read from disk.

        Args:
            places: (K,) places of the crystals in question.
            compute: makes the result of some places, given a callback for progress.
            kind: the results' class.
            size: crystals a part.

        Returns:
            The results of the parts in the order of the places.
        """
        crystals = self.inputs.digest
        return in_parts(self.folder, crystals, places, compute, kind, size, self.report)


def in_parts(
    folder: Path,
    crystals: str,
    places: np.ndarray,
    compute: Callable[[np.ndarray, ItemProgress], R],
    kind: type[R],
    size: int,
    report: ItemProgress,
) -> list[R]:
    """Results part by part, saved in a folder; see `Work.in_parts`.

    Args:
        folder: where they are kept.
        crystals: a hash of the crystals.
        places: as there, and so are compute, kind and size.
        compute: makes the result of some places.
        kind: the results' class.
        size: crystals a part.
        report: called with (crystals done, crystals in all).
    """
    chosen = [places[start : start + size] for start in range(0, len(places), size)]
    wanted = [
        Wanted(f"part-{number:05d}", f"{digest(part.astype(np.int64).tobytes())} of {crystals}")
        for number, part in enumerate(chosen)
    ]
    results: dict[int, R] = {}
    done = 0

    def count(inside: int, _total: int) -> None:
        report(done + inside, len(places))

    def make(missing: list[int]) -> Iterator[tuple[int, R]]:
        return ((number, compute(chosen[number], count)) for number in missing)

    for number, result, _ in Parts(folder, kind.arrays, kind.from_arrays).each(wanted, make):
        results[number] = result
        done += len(chosen[number])
        report(done, len(places))
    return [results[number] for number in range(len(chosen))]


def spread(places: np.ndarray, values: Sequence[Any] | np.ndarray, total: int) -> list[Any]:
    """Values at some positions as a column of length `total`, None elsewhere."""
    column: list[Any] = [None] * total
    for place, value in zip(places.tolist(), values, strict=True):
        column[place] = value
    return column


def spent_seconds(file: Path) -> float:
    """The seconds recorded by a stage; 0 if missing or damaged."""
    try:
        return max(0.0, float(read_json(file)["seconds"]))
    except (InputError, KeyError, TypeError, ValueError, OverflowError):
        return 0.0


def _check_of(content: Mapping[str, Any]) -> str:
    return digest(json.dumps(content, sort_keys=True))


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
