"""Parts that a stage keeps: read again, or made again where they are damaged or others'."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.evaluation.stages.base import in_parts
from flowllm.metrics.fingerprints import Fingerprints, fingerprint_crystals
from flowllm.relax import Relaxation


def relaxation_of(crystals) -> Relaxation:
    """Not computed: energies by size, so that each part has its own."""
    energies, zeros = -crystals.num_atoms / 7, np.zeros(len(crystals))
    reasons = np.full(len(crystals), "", dtype=np.str_)
    return Relaxation(crystals, zeros, energies, zeros, zeros == 0, reasons, zeros)


KINDS = {
    Fingerprints: lambda crystals: fingerprint_crystals(crystals, workers=1),
    Relaxation: relaxation_of,
}


@pytest.mark.parametrize("damage", ["cut", "of other crystals", "of another set"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_part_is_made_again(parts, tmp_path, kind, damage):
    crystals, made, seen = parts["train"][:7], [], []
    places = np.array([0, 2, 3, 4, 6])

    def compute(chosen, report):
        made.append(chosen.tolist())
        report(len(chosen), len(chosen))
        return KINDS[kind](crystals[chosen])

    def run(name="these"):
        made.clear()
        seen.clear()
        done = in_parts(
            tmp_path / "stage", name, places, compute, kind, 2, lambda *a: seen.append(a)
        )
        assert seen[-1] == (5, 5) and seen == sorted(seen)
        return kind.concatenate(done).arrays(), list(made)

    first, chunks = run()
    assert chunks == [[0, 2], [3, 4], [6]]
    again, none = run()
    assert none == []
    file, other = (tmp_path / "stage" / f"part-0000{n}.npz" for n in (1, 0))
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-150])
    elif damage == "of other crystals":
        file.write_bytes(other.read_bytes())
    mended, chunks = run("those" if damage == "of another set" else "these")
    assert chunks == ([[0, 2], [3, 4], [6]] if damage == "of another set" else [[3, 4]])
    for name, values in first.items():
        if values.dtype.kind == "f":
            assert np.array_equal(values, mended[name], equal_nan=True), name
            assert np.array_equal(values, again[name], equal_nan=True), name
        else:
            assert np.array_equal(values, mended[name]) and np.array_equal(values, again[name])
