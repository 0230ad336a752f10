"""Atomic volumes in crystals, and the volume range of a cell by its elements.

The table is made by `recipes/volume_table.py` from MP-20's training split.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from flowllm.crystals.elements import NUMBER_OF, SYMBOLS

_VOLUMES = (
    "H:5.9 He:16.0 Li:12.0 Be:7.9 B:6.2 C:6.1 N:6.1 O:7.2 F:11.3 Ne:18.5 Na:21.1 Mg:21.7 "
    "Al:16.1 Si:14.5 P:15.8 S:21.5 Cl:28.3 K:34.8 Ca:28.3 Sc:20.6 Ti:14.9 V:13.7 Cr:11.1 "
    "Mn:12.5 Fe:10.9 Co:9.6 Ni:9.4 Cu:11.7 Zn:15.8 Ga:16.8 Ge:17.6 As:19.7 Se:27.2 Br:36.1 "
    "Kr:47.9 Rb:42.7 Sr:29.7 Y:28.1 Zr:21.2 Nb:17.3 Mo:15.3 Tc:14.1 Ru:12.5 Rh:12.6 Pd:14.2 "
    "Ag:18.8 Cd:22.7 In:25.2 Sn:25.7 Sb:27.6 Te:35.8 I:48.6 Xe:64.7 Cs:52.9 Ba:36.8 La:33.7 "
    "Ce:29.9 Pr:32.9 Nd:31.7 Pm:31.8 Sm:30.0 Eu:32.5 Gd:28.3 Tb:27.9 Dy:27.3 Ho:27.0 Er:26.1 "
    "Tm:25.5 Yb:28.4 Lu:24.8 Hf:19.8 Ta:17.0 W:16.7 Re:14.9 Os:13.5 Ir:13.6 Pt:15.1 Au:18.3 "
    "Hg:24.6 Tl:29.6 Pb:31.0 Bi:31.5 Ac:43.2 Th:32.0 Pa:24.9 U:23.6 Np:24.6 Pu:26.1 "
)
USUAL = 20.0
"""Å^3 an atom of an element that does not occur in MP-20."""
SMALLEST, LARGEST = 0.70, 2.8
"""Volume of a cell over the sum of its atoms' volumes: quantiles 0.05 and 99.95 % in training."""


@cache
def atomic_volumes() -> np.ndarray:
    """(119,) Å^3 per atom, by atomic number."""
    found = np.full(len(SYMBOLS), USUAL)
    for entry in _VOLUMES.split():
        symbol, _, value = entry.partition(":")
        found[NUMBER_OF[symbol]] = float(value)
    found.setflags(write=False)
    return found


def volume_range(atomic_numbers: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest volume in Å^3 that a cell of these atoms may have.

    Args:
        atomic_numbers: (n,) of all its atoms.
    """
    total = float(atomic_volumes()[atomic_numbers].sum())
    return SMALLEST * total, LARGEST * total
