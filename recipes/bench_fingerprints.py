"""Processor seconds a crystal of our CrystalNN fingerprints and of matminer's, and how they agree.

Usage: python recipes/bench_fingerprints.py CRYSTALS [HOW_MANY]
"""

import sys
import time

import numpy as np
from matminer.featurizers.site import CrystalNNFingerprint

from flowllm.inputs import read_inputs
from flowllm.metrics.crystal_nn import site_fingerprints

crystals = read_inputs(sys.argv[1], workers=1).crystals
count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
chosen = crystals[np.sort(np.random.default_rng(0).permutation(len(crystals))[:count])]
site_fingerprints(chosen[:1])  # reads the motifs
begun = time.process_time()
ours, _ = site_fingerprints(chosen)
middle = time.process_time()
featurizer = CrystalNNFingerprint.from_preset("ops")
theirs = [
    featurizer.featurize(structure, site)
    for structure in chosen.to_pymatgen()
    for site in range(len(structure))
]
end = time.process_time()
apart = np.abs(ours - np.array(theirs)).max(-1)
print(f"ours {(middle - begun) / count:.4f} s a crystal, matminer's {(end - middle) / count:.4f} s")
print(f"sites that differ by more than 1e-6: {(apart > 1e-6).sum()} of {len(apart)}")
