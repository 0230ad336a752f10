"""Reading the text of one crystal, here or in a worker."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs.cif import crystal_from_block, crystal_from_cif
from flowllm.inputs.items import Item, ReadCrystal
from flowllm.inputs.json_rows import crystal_from_json
from flowllm.inputs.limits import DEFAULT_LIMITS, ReadLimits, shown
from flowllm.inputs.poscar import crystal_from_poscar
from flowllm.inputs.primitive import in_primitive_cell
from flowllm.inputs.xyz import crystal_from_xyz
from flowllm.parallel.map import Failure, map_crystals
from flowllm.parallel.time_limit import TimeLimitError, time_limit
from flowllm.runs.progress import ItemProgress

FEW = 2_000  # texts that are read sooner in one process than others have started
CHUNK = 64  # texts that travel to a worker together

CIF_KINDS = ("cif", "block")
_PARSERS: dict[str, Callable[[str, int], ReadCrystal]] = {
    "cif": lambda text, _: crystal_from_cif(text),
    "block": lambda text, _: crystal_from_block(text),
    "xyz": crystal_from_xyz,
    "poscar": crystal_from_poscar,
    "json": crystal_from_json,
}


@dataclass(frozen=True)
class Reader:
    """Parsing of texts: one call each, on an executor.

    Attributes:
        executor: any `concurrent.futures` executor; None for processes of this machine.
        workers: how many of those.
        progress: called while texts are parsed.
        limits: of time and size.
        primitive: give the primitive cells of CIF files.
    """

    executor: Executor | None = None
    workers: int | None = None
    progress: ItemProgress | None = None
    limits: ReadLimits = DEFAULT_LIMITS
    primitive: bool = False

    def parse(self, items: list[Item]) -> list[ReadCrystal | str]:
        """The crystal of each item, or the reason for failure."""
        texts = [item for item in items if item.done is None and not item.reason]
        workers = self.workers or (1 if len(texts) <= FEW else None)
        outcomes = iter(
            map_crystals(
                functools.partial(parse_item, limits=self.limits, primitive=self.primitive), texts,
                self.executor, workers, self.progress, CHUNK, seconds=self.limits.seconds,
            )
        )  # fmt: skip
        found: list[ReadCrystal | str] = []
        for item in items:
            if item.reason:
                found.append(item.reason)
            elif item.done is not None:
                found.append(stored(item, self.limits))
            else:
                outcome = next(outcomes)
                found.append(reason_of(outcome) if isinstance(outcome, Failure) else outcome)
        return found


def stored(item: Item, limits: ReadLimits) -> ReadCrystal | str:
    """A crystal from arrays, or the reason for refusal."""
    assert item.done is not None
    batch, place = item.done
    count = int(batch.num_atoms[place])
    return too_many(count, limits) or ReadCrystal(batch if len(batch) == 1 else batch[place])


def parse_item(
    item: Item, limits: ReadLimits = DEFAULT_LIMITS, primitive: bool = False
) -> ReadCrystal:
    """The crystal of an item's text; for CIF with `primitive`, in its primitive cell.

    Raises:
        InputError: it cannot be read.
    """
    if len(item.text) > limits.text_bytes:
        raise InputError(f"its text is longer than {limits.text_bytes:,} characters")
    if item.kind not in _PARSERS:
        begins = shown(item.text)
        if begins.startswith(("Full Formula", "Structure Summary")):
            raise InputError("a printed Structure, which lacks digits; write it as CIF or JSON")
        raise InputError(f"no readable crystal: {begins!r}")
    read = _PARSERS[item.kind](item.text, limits.atoms)
    fault = too_many(len(read.crystal.atomic_numbers), limits)
    if fault:
        raise InputError(fault)
    return in_primitive_cell(read) if primitive and item.kind in CIF_KINDS else read


def read_item(item: Item, limits: ReadLimits = DEFAULT_LIMITS) -> ReadCrystal:
    """The crystal of an item, within the time limit.

    Raises:
        InputError: it cannot be read.
    """
    if item.reason:
        raise InputError(item.reason)
    if item.done is not None:
        found = stored(item, limits)
        if isinstance(found, str):
            raise InputError(found)
        return found
    try:
        with time_limit(limits.seconds):
            return parse_item(item, limits)
    except Exception as error:
        kind = type(error).__name__
        raise InputError(reason_of(Failure(item.name, kind, str(error)))) from error


def too_many(count: int, limits: ReadLimits) -> str:
    """Why a crystal of this many atoms is not read; empty if it is."""
    return f"{count} atoms; at most {limits.atoms} are read" if count > limits.atoms else ""


def reason_of(failure: Failure) -> str:
    """Why an input cannot be read, in plain words rather than a parser's exception."""
    if failure.kind == "InputError":
        return failure.message
    if failure.kind == TimeLimitError.__name__:
        return f"reading {failure.message}"
    if failure.kind == MemoryError.__name__:
        return "reading needs more memory than there is"
    if "worker process" in failure.message:
        return failure.message
    return f"the text cannot be read (a {failure.kind} inside its reader)"


def concatenated(found: list[ReadCrystal]) -> CrystalBatch:
    """The crystals as one batch."""
    return CrystalBatch.concatenate(read.crystal for read in found)
