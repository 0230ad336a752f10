"""The choice of which crystals to show first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowllm.crystals.batch import CrystalBatch


def choose_diverse(crystals: CrystalBatch, good: Mapping[str, bool], count: int = 6) -> list[int]:
    """Positions of up to `count` crystals that differ most in their elements, good ones first.

    Greedy: each next one has the largest least distance (Jaccard, of the element sets; a little for
    sizes) to those chosen. Starts from a crystal of middling size; cells without volume are out.
    """
    solid = [int(i) for i in np.flatnonzero(crystals.volumes > 0)]
    best = [i for i in solid if good.get(str(crystals.ids[i]), True)]
    pool = [*best, *(i for i in solid if i not in set(best))]
    if not pool:
        return []
    sets = [frozenset(c) for c in crystals.compositions]
    sizes = crystals.num_atoms

    def distance(one: int, other: int) -> float:
        union = len(sets[one] | sets[other])
        unlike = 1 - len(sets[one] & sets[other]) / max(1, union)
        return (
            unlike
            + 0.3 * abs(int(sizes[one]) - int(sizes[other])) / 20
            + 0.2 * (len(sets[one]) != len(sets[other]))
        )

    chosen: list[int] = []
    least = dict.fromkeys(pool, 0.0)
    for ranked in (best, pool):
        while len(chosen) < count and not set(ranked) <= set(chosen):
            left = [i for i in ranked if i not in chosen]
            if chosen:
                chosen.append(max(left, key=lambda i: least[i]))
                least = {i: min(d, distance(i, chosen[-1])) for i, d in least.items()}
            else:
                chosen.append(min(left, key=lambda i: (len(sets[i]) != 3, abs(int(sizes[i]) - 8))))
                least = {i: distance(i, chosen[0]) for i in pool}
    return chosen
