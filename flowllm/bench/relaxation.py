"""How much faster the batched relaxation is than chgnet's own, one crystal at a time."""

from __future__ import annotations

import time
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.parallel.map import map_crystals
from flowllm.relax.relaxation import relax
from flowllm.relax.settings import RelaxSettings

STEPS = 500


@lru_cache(maxsize=1)
def struct_optimizer() -> Any:
    """chgnet's StructOptimizer with FIRE, loaded once per process."""
    from chgnet.model import StructOptimizer

    with redirect_stdout(StringIO()):
        return StructOptimizer(optimizer_class="FIRE", use_device="cpu")


def relax_by_chgnet(
    item: tuple[CrystalBatch, RelaxSettings],
) -> tuple[float, float, int, CrystalBatch]:
    """Energy in eV/atom, processor seconds, steps and the crystal, relaxed by chgnet alone."""
    crystal, settings = item
    optimizer = struct_optimizer()
    begun = time.process_time()
    result = optimizer.relax(
        crystal.to_pymatgen()[0],
        fmax=settings.fmax,
        steps=settings.steps,
        relax_cell=settings.relax_cell,
        verbose=False,
    )
    path = result["trajectory"]
    seconds = time.process_time() - begun
    relaxed = CrystalBatch.from_pymatgen([result["final_structure"]], list(crystal.ids))
    # the observer notes the last structure twice
    return path.energies[-1] / len(crystal.atomic_numbers), seconds, len(path) - 2, relaxed


def perturbed(
    crystals: CrystalBatch, distance: float = 0.05, strain: float = 0.02, seed: int = 0
) -> CrystalBatch:
    """Crystals with atoms displaced by Gaussian noise of `distance` Å and each length by `strain`.

    Args:
        crystals: B crystals.
        distance: standard deviation of each Cartesian coordinate in Å.
        strain: standard deviation of the relative change of each cell length.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    moves = rng.normal(0, distance, crystals.frac_coords.shape)
    inverse = np.linalg.inv(crystals.lattices)[crystals.crystal_of_atom]
    coords = crystals.frac_coords + np.einsum("ni,nij->nj", moves, inverse)
    return crystals.replace(
        frac_coords=coords,
        lengths=crystals.lengths * (1 + rng.normal(0, strain, crystals.lengths.shape)),
    )


def bench_relaxation(
    crystals: CrystalBatch, workers: int = 1, settings: RelaxSettings | None = None
) -> dict[str, float]:
    """Relax the same crystals both ways, print both times and how the energies agree.

    Args:
        crystals: B crystals.
        workers: processes of one thread each, for both ways.
        settings: of the relaxation; fmax 0.1 and 500 steps, chgnet's defaults, if left out.

    Returns:
        Wall seconds of both ways with the start of the processes, their ratio, mean steps of both,
        median and largest difference of the final energies in meV/atom, and the share of crystals
        whose energies are within 5 meV/atom or below chgnet's.
    """
    chosen = settings or RelaxSettings(steps=STEPS)
    begun = time.perf_counter()
    ours = relax(crystals, chosen, workers=workers)
    seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    theirs = map_crystals(relax_by_chgnet, [(c, chosen) for c in crystals], workers=workers)
    their_seconds = time.perf_counter() - begun
    known = [i for i, one in enumerate(theirs) if isinstance(one, tuple) and not ours.failed[i]]
    energies = np.array([theirs[i][0] for i in known])
    differences = 1000 * (ours.energies[known] - energies)
    report = {
        "crystals": float(len(crystals)),
        "compared": float(len(known)),
        "seconds": seconds,
        "chgnet_seconds": their_seconds,
        "ratio": seconds / their_seconds,
        "steps": float(ours.steps[known].mean()) if known else float("nan"),
        "chgnet_steps": float(np.mean([theirs[i][2] for i in known])) if known else float("nan"),
        "median_difference_mev": float(np.median(np.abs(differences))) if known else float("nan"),
        "largest_difference_mev": float(np.abs(differences).max()) if known else float("nan"),
        "agree_or_lower": float((differences < 5).mean()) if known else float("nan"),
    }
    for name, value in report.items():
        print(f"{name:>24} {value:.4g}")
    return report
