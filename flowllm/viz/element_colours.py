"""Colours of elements: Jmol's, moved apart where two in one picture are too similar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

NEUTRAL = "#b8bec9"
"""Of an atom whose species is open, 0."""
MOST = 16
"""Elements of a picture; a diffusion of species passes through half of the periodic table."""
APART = 20.0
"""CIEDE2000 between any two elements of a picture; balls are shaded, so less is not told apart. In
8 % of MP-20's validation crystals two of Jmol's colours are nearer than 10, in 32 % nearer than 20,
as F and Mg (both lime), K and Cs (both violet), Ti and Ag (both grey, 2.9)."""


def jmol_colour(number: int) -> str:
    """An element's colour in Jmol, as in "#ff0d0d"; grey for an open species, 0."""
    from ase.data.colors import jmol_colors

    if not 0 < number < len(jmol_colors):
        return NEUTRAL
    return "#" + "".join(f"{round(255 * x):02x}" for x in jmol_colors[number])


def element_colours(numbers: Iterable[int]) -> Mapping[int, str]:
    """{atomic number: colour} of all elements seen together.

    Lighter elements keep Jmol's colour. One that is nearer than `APART` to the colour of a lighter
    one gets the most similar colour that is not, so the same elements always have the same colours.

    Args:
        numbers: atomic numbers, in any order and number; 0 for an open species.
    """
    return _apart(tuple(sorted({int(n) for n in numbers})))


def shown_species(numbers: np.ndarray) -> np.ndarray:
    """Atomic numbers that are told apart: of all frames, or of first and last if too many.

    Args:
        numbers: (T, N) atomic numbers of T frames.
    """
    every = np.unique(numbers)
    return every if len(every) <= MOST else np.unique(numbers[[0, -1]])


def colours_of_paths(paths: Iterable[np.ndarray]) -> tuple[Mapping[int, str], list[int]]:
    """Colours of all elements of paths that are seen together, and those for a legend.

    Elements that only pass by, where there are too many, have Jmol's colours.

    Args:
        paths: (T, N) atomic numbers of each.
    """
    every: set[int] = set()
    shown: set[int] = set()
    for numbers in paths:
        every |= set(np.unique(numbers).tolist())
        shown |= set(shown_species(numbers).tolist())
    passing = {number: jmol_colour(number) for number in sorted(every - shown)}
    return {**element_colours(shown), **passing}, sorted(shown)


@lru_cache(maxsize=4096)
def _apart(numbers: tuple[int, ...]) -> Mapping[int, str]:
    chosen = {number: jmol_colour(number) for number in numbers}
    for place, number in enumerate(numbers[1:], 1):
        before = [chosen[n] for n in numbers[:place]]
        if colour_difference(_lab([chosen[number]]), _lab(before)).min() >= APART:
            continue
        others = [tint for n, tint in chosen.items() if n != number]
        tints, labs = _candidates()
        room = colour_difference(labs[:, None], _lab(others)).min(1)
        cost = colour_difference(labs, _lab([chosen[number]]))
        # where so many elements leave no room, the colour that is farthest from all others
        best = np.argmin(np.where(room >= APART, cost, 1000 - room))
        chosen[number] = tints[best]
    return chosen


@lru_cache(maxsize=1)
def _candidates() -> tuple[list[str], np.ndarray]:
    """Colours (M) from dark to light, neither black nor white, and their L*, a*, b* (M, 3)."""
    steps = np.linspace(0, 255, 18).round().astype(int)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    tints = ["#" + "".join(f"{x:02x}" for x in channels) for channels in grid]
    labs = _lab(tints)
    kept = (labs[:, 0] > 28) & (labs[:, 0] < 93)
    return [tint for tint, keep in zip(tints, kept, strict=True) if keep], labs[kept]


def _lab(tints: Iterable[str]) -> np.ndarray:
    """(M, 3) CIE L*, a*, b* of sRGB colours under D65."""
    rgb = np.array([[int(t[k : k + 2], 16) for k in (1, 3, 5)] for t in tints]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / to_xyz.sum(1)
    cube = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(cube, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def colour_difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 between colours (..., 3) in L*, a*, b*.

    Sharma, Wu and Dalal, Color Research and Application 30 (2005), 21; k_L = k_C = k_H = 1.
    """
    one, other = np.broadcast_arrays(one, other)
    light1, light2 = one[..., 0], other[..., 0]
    chroma = (np.hypot(one[..., 1], one[..., 2]) + np.hypot(other[..., 1], other[..., 2])) / 2
    grey = 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a1, a2 = (1 + grey) * one[..., 1], (1 + grey) * other[..., 1]
    c1, c2 = np.hypot(a1, one[..., 2]), np.hypot(a2, other[..., 2])
    h1, h2 = (np.degrees(np.arctan2(lab[..., 2], a)) % 360 for lab, a in ((one, a1), (other, a2)))
    coloured = c1 * c2 > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    far = np.abs(h1 - h2) > 180
    hue = np.where(coloured, (h1 + h2 + np.where(far, 360, 0)) / 2 % 360, h1 + h2)
    light, mean = (light1 + light2) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean, 1 + 0.015 * mean * weight
    turning = 2 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    turning *= -np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    d_l, d_c, d_h = (light2 - light1) / s_l, (c2 - c1) / s_c, d_hue / s_h
    return np.asarray(np.sqrt(np.maximum(d_l**2 + d_c**2 + d_h**2 + turning * d_c * d_h, 0)))
