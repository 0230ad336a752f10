"""Fingerprints as points of one space: distances between crystals, and maps to the plane."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.download import cache_dir
from flowllm.errors import InputError
from flowllm.evaluation.reference import Reference
from flowllm.metrics.coverage import CompositionScaler
from flowllm.metrics.fingerprints import Fingerprints, fingerprint_crystals

FEATURES = ("composition+structure", "composition", "structure")
NEIGHBOURS = 15  # of UMAP; fewer crystals than that it does not map
FEW = 150  # crystals for which processes take longer to start than to work
REFERENCE = "mp_20"
KEPT = "1"  # another one makes what is in the cache be computed again


def fingerprints_of(
    batches: Sequence[CrystalBatch], tick: Callable[[int, int], None]
) -> list[Fingerprints]:
    """Fingerprints of several batches, kept in the user's cache: 100 crystals/s on two cores.

    Args:
        batches: as many as one likes; those that are not kept yet are computed together.
        tick: called as tick(done, total) with crystals; may raise to end the work.
    """
    files = [_file_of(batch) for batch in batches]
    found = [_kept(file, batch) for file, batch in zip(files, batches, strict=True)]
    missing = [place for place, prints in enumerate(found) if prints is None]
    crystals = CrystalBatch.concatenate(batches[place] for place in missing)
    if not missing:
        return [prints for prints in found if prints is not None]
    tick(0, len(crystals))
    workers = 1 if len(crystals) <= FEW else None
    computed = fingerprint_crystals(crystals, workers=workers, progress=tick)
    start = 0
    for place in missing:
        prints = computed[start : start + len(batches[place])]
        start += len(batches[place])
        found[place] = prints
        _keep(files[place], prints)
    return [prints for prints in found if prints is not None]


def _file_of(crystals: CrystalBatch) -> Path:
    """Where the cache keeps their fingerprints; ids do not matter."""
    digest = hashlib.sha256(KEPT.encode())
    for name in ("atomic_numbers", "frac_coords", "lengths", "angles", "num_atoms"):
        digest.update(np.ascontiguousarray(getattr(crystals, name)).tobytes())
    return cache_dir() / "fingerprints" / f"{digest.hexdigest()[:24]}.npz"


def _kept(file: Path, crystals: CrystalBatch) -> Fingerprints | None:
    if not file.is_file():
        return None
    try:
        found = Fingerprints.load(file)
        return Fingerprints(found.structure, found.composition, found.reasons, crystals.ids)
    except InputError:
        return None  # damaged: computed again, and written anew


def _keep(file: Path, prints: Fingerprints) -> None:
    # without a place to write, the next time takes as long
    with contextlib.suppress(OSError, InputError):
        file.parent.mkdir(parents=True, exist_ok=True)
        prints.save(file)


def feature_matrix(prints: Fingerprints, features: str) -> np.ndarray:
    """(M, D) features, in which distance 1 is that of two random crystals of MP-20.

    Magpie's statistics are standardised by the shipped scaler. Each part is then divided by the
    root of its mean squared distance between two crystals of MP-20's test split, so that
    composition (132 numbers) and structure (61) weigh the same.

    Args:
        prints: of M crystals; a crystal without a fingerprint has a row of NaN.
        features: one of `FEATURES`.

    Raises:
        InputError: no such features.
    """
    if features not in FEATURES:
        raise InputError(f'unknown features "{features}"; choose from {", ".join(FEATURES)}')
    parts = features.split("+")
    scaler, spread = _scales()
    values = {
        "composition": scaler.transform(prints.composition),
        "structure": prints.structure,
    }
    return np.hstack([values[part] / (spread[part] * len(parts) ** 0.5) for part in parts])


def pca(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components (K, 2) of (K, D), and the shares (2,) of the variance they hold.

    The sign of each is such that its largest loading is positive, so that the same data look the
    same everywhere.
    """
    centred = matrix - matrix.mean(0)
    _, widths, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[np.arange(len(axes[:2])), np.abs(axes[:2]).argmax(1)])[:, None]
    coords = np.zeros((len(matrix), 2))
    coords[:, : len(axes)] = centred @ axes.T
    shares = np.zeros(2)
    shares[: len(axes)] = widths[:2] ** 2 / max((widths**2).sum(), 1e-300)
    return coords, shares


def umap(matrix: np.ndarray, seed: int) -> np.ndarray:
    """UMAP (K, 2) of (K, D), the same for the same seed; it starts from the principal components.

    McInnes, Healy, Melville, arXiv 1802.03426, with its defaults. The first call in a process
    compiles for 10 to 20 s.

    Raises:
        InputError: fewer crystals than neighbours that it looks at.
    """
    if len(matrix) < NEIGHBOURS:
        raise InputError(f"UMAP needs {NEIGHBOURS} crystals, not {len(matrix)}")
    import warnings

    with warnings.catch_warnings():  # that a seed means one thread, and TensorFlow is not there
        warnings.simplefilter("ignore")
        from umap import UMAP

        start = pca(matrix)[0]
        reducer = UMAP(
            n_neighbors=NEIGHBOURS - 1,
            init=10 * start / max(np.abs(start).max(), 1e-12),
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(reducer.fit_transform(matrix), dtype=np.float64)


def nearest(
    matrix: np.ndarray, group: np.ndarray, place: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of other groups that are nearest to one, and their distances, nearest first.

    Exact, in the whole space. With one group only, the nearest of the same.

    Args:
        matrix: (M, D); rows with NaN are near to none.
        group: (M,) int.
        place: the row.
        count: how many, at most.
    """
    others = group != group[place] if len(np.unique(group)) > 1 else np.arange(len(group)) != place
    distances = np.where(others, np.linalg.norm(matrix - matrix[place], axis=1), np.nan)
    order = np.argsort(distances, kind="stable")[:count]  # NaN comes last
    order = order[np.isfinite(distances[order])]
    return order, distances[order]


@cache
def _scales() -> tuple[CompositionScaler, dict[str, float]]:
    """The scaler, and per part the root mean squared distance between two crystals of MP-20."""
    reference = Reference.load(REFERENCE)
    prints, scaler = reference.fingerprints(), reference.scaler()
    known = prints[prints.complete]
    parts = {"composition": scaler.transform(known.composition), "structure": known.structure}
    # E|x - y|² of independent x, y is twice the summed variance
    return scaler, {name: float(np.sqrt(2 * v.var(0).sum())) for name, v in parts.items()}
