"""Making pairs: prompt the prior with a target's composition, align, keep; resumable in chunks."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from flowllm.crystal import CrystalBatch
from flowllm.errors import InputError
from flowllm.flow.alignment import align, mean_squared_torus_distance, squared_torus_distances
from flowllm.flow.pairs import PairSet

Progress = Callable[[int, int], None]
"""Called with (targets done, targets in all)."""
MAX_DRAWS = 4
"""The first draw and three more for a sample that is missing or of another composition."""
COUNTS = ("drawn", "failed", "mismatched", "dropped_targets", "pairs", "atoms")
SUMS = ("list_order", "aligned")


class Prior(Protocol):
    """What samples crystals for prompts; an item that failed is missing from the result."""

    def sample(self, prompts: list[str], settings: Any, seeds: Sequence[int]) -> CrystalBatch:
        """Crystals whose ids are the positions of their prompts, `str(index)`."""
        ...


def build_pairs(
    targets: CrystalBatch,
    prior: Prior,
    settings: Any,
    out: Path,
    num_pairs: int,
    seed: int,
    chunk_size: int = 256,
    samples_per_target: int = 1,
    keep: str = "closest",
    progress: Progress | None = None,
    *,
    prompt_for: Callable[[dict[str, int]], str],
    alignment: str = "translation",
) -> PairSet:
    """Pairs for training the flow (FlowLLM, section 3.3), written chunk by chunk.

    Draw number p takes the p-th target of an endless sequence of shuffled passes over the targets,
    so that each comes once before any comes twice. A run that is killed and started again goes on
    after the last finished chunk and gives the same pairs to the bit.

    Args:
        targets: the training crystals c1.
        prior: what gives c0 for a prompt.
        settings: passed on to the prior.
        out: folder for `chunk-XXXXX.npz`, `run.json` and `summary.json`.
        num_pairs: number of draws of a target.
        seed: seed of everything random; each sample's own seed comes from it, the draw and the try.
        chunk_size: draws per chunk.
        samples_per_target: samples drawn for one target.
        keep: "closest" keeps the sample with the smallest aligned distance, "all" every one.
        progress: called with (draws done, draws in all) after each chunk.
        prompt_for: the prompt for a composition {element: atoms in the cell}.
        alignment: method of `flowllm.flow.alignment.align`.

    Returns:
        The pairs in the order of the draws; ids are the targets'. A draw whose samples all failed
        is left out and counted.

    Raises:
        InputError: an argument is out of range, or `out` holds chunks of another run.
    """
    if not len(targets) or num_pairs < 1 or chunk_size < 1 or samples_per_target < 1:
        raise InputError(
            "pairs need targets, and num_pairs, chunk_size and samples_per_target above 0"
        )
    if keep not in ("closest", "all"):
        raise InputError(f"keep must be closest or all, not {keep!r}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    run = {
        "targets": fingerprint(targets),
        "prior_settings": str(settings),
        "seed": seed,
        "chunk_size": chunk_size,
        "samples_per_target": samples_per_target,
        "keep": keep,
        "alignment": alignment,
    }
    _claim(out, run)
    order = target_order(len(targets), num_pairs, seed)
    parts, tallies = [], []
    for chunk, start in enumerate(range(0, num_pairs, chunk_size)):
        chosen = order[start : start + chunk_size]
        path = out / f"chunk-{chunk:05d}.npz"
        found = _read_chunk(path, chosen)
        if found is None:
            found = _make_chunk(
                targets[chosen],
                prior,
                settings,
                seed,
                start,
                samples_per_target,
                keep,
                prompt_for,
                alignment,
            )
            _write_chunk(path, chosen, *found)
        parts.append(found[0])
        tallies.append(found[1])
        if progress:
            progress(min(start + chunk_size, num_pairs), num_pairs)
    total = np.sum(tallies, axis=0)
    summary: dict[str, Any] = dict(zip(COUNTS, map(int, total), strict=False))
    summary |= {"requested_draws": num_pairs, **run}
    atoms = max(summary["atoms"], 1)
    for name, value in zip(SUMS, total[len(COUNTS) :], strict=True):
        summary[f"mean_squared_torus_distance_{name}"] = float(value) / atoms
    _write_json(out / "summary.json", summary)
    return PairSet.concatenate(parts)


def target_order(num_targets: int, num_pairs: int, seed: int) -> np.ndarray:
    """(num_pairs,) targets of the draws: shuffled passes; a longer order begins with a shorter."""
    passes = -(-num_pairs // num_targets)
    shuffled = [np.random.default_rng([seed, 7, k]).permutation(num_targets) for k in range(passes)]
    return np.concatenate(shuffled)[:num_pairs]


def sample_seed(seed: int, draw: int, sample: int, attempt: int) -> int:
    """The seed of one sample, below 2^63."""
    state = np.random.SeedSequence([seed, draw, sample, attempt]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def fingerprint(crystals: CrystalBatch) -> str:
    """A hash of the crystals, to recognise a run's targets again."""
    digest = hashlib.sha256()
    for values in (crystals.ids, crystals.num_atoms, crystals.atomic_numbers, crystals.frac_coords):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def _make_chunk(
    targets: CrystalBatch,
    prior: Prior,
    settings: Any,
    seed: int,
    start: int,
    samples: int,
    keep: str,
    prompt_for: Callable[[dict[str, int]], str],
    alignment: str,
) -> tuple[PairSet, np.ndarray]:
    """The pairs of one chunk and its tally, in the order of `COUNTS` and `SUMS`."""
    compositions = targets.compositions
    prompts = [prompt_for(composition) for composition in compositions]
    open_slots = [(i, k) for i in range(len(targets)) for k in range(samples)]
    good: dict[tuple[int, int], CrystalBatch] = {}
    drawn = failed = mismatched = 0
    for attempt in range(MAX_DRAWS):
        if not open_slots:
            break
        seeds = [sample_seed(seed, start + i, k, attempt) for i, k in open_slots]
        result = prior.sample([prompts[i] for i, _ in open_slots], settings, seeds)
        drawn += len(open_slots)
        failed += len(open_slots) - len(result)
        made = result.compositions
        for name, crystal, composition, volume in zip(
            result.ids, result, made, result.volumes, strict=True
        ):
            slot = _slot(str(name), open_slots)
            if composition == compositions[slot[0]] and volume > 0:
                good[slot] = crystal
            else:
                mismatched += 1
        open_slots = [slot for slot in open_slots if slot not in good]
    slots = sorted(good)
    dropped = len(targets) - len({i for i, _ in slots})
    rows = np.array([i for i, _ in slots], dtype=np.int64)
    c1 = targets[rows]
    raw = CrystalBatch.concatenate(good[slot] for slot in slots).replace(ids=c1.ids)
    listed, c0 = align(raw, c1, "list"), align(raw, c1, alignment)
    if keep == "closest" and samples > 1:
        distances = squared_torus_distances(c0, c1)
        best = np.array(
            [min(np.flatnonzero(rows == i), key=lambda r: distances[r]) for i in np.unique(rows)],
            dtype=np.int64,
        )
        c0, c1, listed = c0[best], c1[best], listed[best]
    atoms = len(c1.frac_coords)
    sums = [mean_squared_torus_distance(c, c1) * atoms if atoms else 0.0 for c in (listed, c0)]
    tally = np.array([drawn, failed, mismatched, dropped, len(c1), atoms, *sums], dtype=np.float64)
    return PairSet(c0, c1), tally


def _slot(name: str, slots: list[tuple[int, int]]) -> tuple[int, int]:
    """The slot whose position among the prompts a sample's id gives."""
    if not name.isdigit() or int(name) >= len(slots):
        raise InputError(
            f"the prior returned id {name!r}; ids must be the positions of the prompts"
        )
    return slots[int(name)]


def _claim(out: Path, run: dict[str, Any]) -> None:
    """Mark the folder as this run's, or see that it is."""
    path = out / "run.json"
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is damaged; choose another folder") from error
        other = [name for name, value in run.items() if before.get(name) != value]
        if other:
            raise InputError(
                f"{out} holds pairs of another run ({', '.join(other)} differ); choose another"
            )
    else:
        _write_json(path, run)


def _read_chunk(path: Path, chosen: np.ndarray) -> tuple[PairSet, np.ndarray] | None:
    """A finished chunk for these targets, or None."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as archive:
        if not np.array_equal(archive["chosen"], chosen):
            return None
        tally = archive["tally"]
    return PairSet.load(path), tally


def _write_chunk(path: Path, chosen: np.ndarray, pairs: PairSet, tally: np.ndarray) -> None:
    """Write a chunk so that it is there whole or not at all."""
    partial = path.with_name(f".{path.stem}.partial.npz")
    arrays: dict[str, Any] = pairs.arrays()
    np.savez_compressed(partial, chosen=chosen, tally=tally, **arrays)
    os.replace(partial, path)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
