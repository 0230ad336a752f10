"""Make the map of all systems that ships: flowllm/data/system_map.npz.

    python -m recipes.map --system flowmm=runs/flowmm-dng --system diffcsp=runs/diffcsp-dng ...

Each system is a run folder of `flowllm generate`, or anything else that `flowllm evaluate` reads.
Of each `--num` crystals are drawn at random, of MP-20's test split `--data`. The features are the
fingerprints of coverage, composition and structure weighed alike, as in `EmbeddingMap`; UMAP places
all crystals together, once. Fingerprints are kept in the cache: a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.shipped import load_shipped
from flowllm.data.system_map import SYSTEM_MAP, SystemMap
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.metrics.fingerprints import Fingerprints
from flowllm.metrics.symmetry import space_groups
from flowllm_widgets.embedding.features import feature_matrix, fingerprints_of, umap

DATA = "MP-20 test"
FEATURES = "composition+structure"
SYMPREC = 0.1  # Å, generous enough for crystals whose atoms are not exactly in their places
LARGEST = 1_000_000  # bytes


def some(crystals: CrystalBatch, num: int, seed: int) -> CrystalBatch:
    """At most `num` of the crystals, drawn at random; which ones depends on the seed alone."""
    chosen = np.random.default_rng(seed).permutation(len(crystals))[:num]
    return crystals[np.sort(chosen)]


def make_map(systems: Mapping[str, CrystalBatch], seed: int = 0) -> SystemMap:
    """The map of crystals of several systems.

    Args:
        systems: {name: crystals}, in the order in which they are drawn.
        seed: of UMAP.

    Raises:
        InputError: fewer crystals with fingerprints than UMAP has neighbours.
    """
    batches = list(systems.values())

    def tick(done: int, total: int) -> None:
        if done in (0, total) or done % 1000 == 0:
            print(f"fingerprints: {done:,} of {total:,} crystals", flush=True)

    prints = Fingerprints.concatenate(fingerprints_of(batches, tick))
    there = prints.complete
    crystals = CrystalBatch.concatenate(batches)[there]
    system = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])[there]
    print(
        f"UMAP of {len(crystals):,} crystals; {int((~there).sum())} have no fingerprint", flush=True
    )
    coords = umap(feature_matrix(prints[there], FEATURES), seed)
    coords -= (coords.min(0) + coords.max(0)) / 2  # float16 is finest about 0
    formulas = tuple(crystals.formulas)
    return SystemMap(tuple(systems), coords, system, formulas, space_groups(crystals, SYMPREC))


def main(words: Sequence[str] | None = None) -> SystemMap:
    """Read, map, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--system", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--num", type=int, default=2000, help="crystals of each system")
    parser.add_argument("--data", type=int, default=4000, help="crystals of MP-20's test split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=SYSTEM_MAP)
    given = parser.parse_args(words)
    systems = {DATA: some(load_shipped("mp_20", "test").crystals, given.data, given.seed)}
    for item in given.system:
        name, equals, folder = item.partition("=")
        if not (name and equals and folder):
            raise InputError(f"--system takes NAME=FOLDER, not {item!r}")
        if name in systems:
            raise InputError(f"the system {name!r} is given twice")
        crystals = read_inputs(folder).crystals
        systems[name] = some(crystals, given.num, given.seed)
        print(f"{name}: {len(systems[name]):,} of {len(crystals):,} crystals", flush=True)
    made = make_map(systems, given.seed)
    made.save(given.out)
    size = given.out.stat().st_size
    print(f"{given.out}: {len(made):,} crystals, {size:,} bytes; {made.counts}")
    if size > LARGEST:
        raise InputError(f"{given.out} has {size:,} bytes; {LARGEST:,} may ship")
    return made


if __name__ == "__main__":
    main()
