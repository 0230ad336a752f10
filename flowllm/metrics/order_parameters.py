"""Order parameters of coordination shells, for many shells at once.

The formulas are those of pymatgen's LocalStructOrderParams (Zimmermann and Jain, RSC Advances 10,
6063 (2020); Peters, J. Chem. Phys. 131, 244103 (2009); Steinhardt et al., Phys. Rev. B 28, 784
(1983)), which loops over triples of neighbours in Python; a test holds the two against each other.

For a motif each ordered pair of neighbours (j, k) proposes a frame: j at the north pole, k on the
prime meridian. Every other neighbour m then scores by how near it is, in polar angle and azimuth,
to a place of the ideal motif; the order parameter is the best frame's mean score.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SMALL = 1e-12  # below it a direction perpendicular to the pole is not defined
ON_EQUATOR = 1e-9  # rad; nearer to 90 degrees than this is at 90 degrees
POLAR = {"T", "tri_pyr", "sq_pyr", "pent_pyr", "hex_pyr"}
BIPOLAR = {
    *("see_saw_rect", "tri_bipyr", "pent_bipyr", "hex_bipyr"),
    *("oct_max", "sq_plan_max", "hex_plan_max"),
}
ANGULAR = {"tri_plan_max", "tet_max"}


@lru_cache(maxsize=1)
def motifs() -> dict[int, tuple[tuple[str, dict], ...]]:
    """{coordination number: ((kind, parameters), …)} of matminer's "ops" preset, in its order."""
    from matminer.featurizers.site import CrystalNNFingerprint

    preset = CrystalNNFingerprint.from_preset("ops").ops
    return {
        number: tuple((op.get_type(0), op.get_parameters(0) or {}) for op in ops if op != "wt")
        for number, ops in preset.items()
    }


def order_parameters(directions: np.ndarray, ties: np.ndarray | None = None) -> np.ndarray:
    """The order parameters that belong to shells of n neighbours.

    Args:
        directions: (E, n, 3) unit vectors from the centre to its neighbours, n from 1 to 12.
        ties: (E, n) int; neighbours with the same number have no order among themselves. Only the
            body-centred cubic parameter depends on the order of the neighbours, which pymatgen
            leaves to rounding where they are equivalent; here it is the mean over both orders.

    Returns:
        (E, K) values in the order of `motifs()[n]`; 0 where a parameter is not defined.
    """
    shells, count, _ = directions.shape
    kinds = motifs().get(count, ())
    if count == 1:
        return np.ones((shells, len(kinds)))
    if ties is None:
        ties = np.broadcast_to(np.arange(count), (shells, count))
    frames = _Frames.of(directions)
    values = [_value(kind, parameters, frames, ties) for kind, parameters in kinds]
    return np.stack(values, axis=-1) if values else np.zeros((shells, 0))


@dataclass(frozen=True)
class _Frames:
    """Angles in the frames (j, k) of E shells of n neighbours.

    Attributes:
        cosines: (E, n, n) between neighbours j and k.
        polar: (E, n, n) angle between neighbours j and k in rad.
        pairs: (n, n) bool, j is not k.
        azimuth: (E, n, n, n) angle of m from the meridian of k around j in rad.
        others: (E, n, n, n) bool, m is neither j nor k and the meridian is defined.
        placed: (E, n, n, n) bool, and m's azimuth is defined too.
    """

    cosines: np.ndarray
    polar: np.ndarray
    pairs: np.ndarray
    azimuth: np.ndarray
    others: np.ndarray
    placed: np.ndarray

    @classmethod
    def of(cls, directions: np.ndarray) -> _Frames:
        count = directions.shape[1]
        cosines = np.clip(np.einsum("ejx,ekx->ejk", directions, directions), -1, 1)
        across = directions[:, None] - cosines[..., None] * directions[:, :, None]
        norms = np.linalg.norm(across, axis=-1)
        pairs = ~np.eye(count, dtype=bool)
        defined = (norms >= SMALL) & pairs
        across /= np.where(defined, norms, 1.0)[..., None]
        azimuth = np.arccos(np.clip(across @ across.swapaxes(-1, -2), -1, 1))
        others = (pairs[:, None, :] & pairs[None, :, :]) & defined[..., None]
        return cls(
            cosines, np.arccos(cosines), pairs, azimuth, others, others & defined[:, :, None, :]
        )


def _value(kind: str, p: dict, frames: _Frames, ties: np.ndarray) -> np.ndarray:
    """(E,) values of one order parameter with pymatgen's parameters."""
    share = frames.polar / np.pi
    if kind in {"q2", "q4", "q6"}:
        return _bond_orientation(int(kind[1]), frames.cosines)
    if kind == "bent":
        return _bell(share - p["TA"], p["IGW_TA"])[:, frames.pairs].mean(-1)
    if kind == "bcc":
        return _body_centred(p, frames, ties)
    if kind == "cuboct_max":
        return _cuboctahedral(p, frames)
    if kind in POLAR:
        return _best_frame(frames, _bell(share - 0.5, p["IGW_EP"]), p["fac_AA"])
    if kind in ANGULAR:
        return _best_frame(frames, _bell(share - p["TA"], p["IGW_TA"]), p["fac_AA"])
    if kind == "pent_plan_max":
        target = np.where(frames.polar <= p["TA"] * np.pi, 0.4, 0.8)
        return _best_frame(frames, _bell(share - target, p["IGW_TA"]), 1.0)
    if kind in BIPOLAR:
        score = (
            _bell(np.abs(share - 0.5) - p["TA"], p["IGW_TA"])
            if kind == "hex_plan_max"
            else _bell(share - 0.5, p["IGW_EP"])
        )
        south = frames.polar >= p["min_SPP"]
        limit = 0.75 * np.pi if kind == "see_saw_rect" else np.inf
        pole = _bell(share - 1.0, p["IGW_SPP"])
        return _best_frame(frames, score, p["fac_AA"], south, pole, limit)
    raise ValueError(f"pymatgen has an unknown order parameter: {kind}")


def _best_frame(
    frames: _Frames,
    score: np.ndarray,
    folds: float,
    south: np.ndarray | None = None,
    pole: np.ndarray | None = None,
    limit: float = np.inf,
) -> np.ndarray:
    """(E,) the best frame's mean score.

    Args:
        frames: of E shells.
        score: (E, n, n) by polar angle, of k and of m alike.
        folds: m scores times cos² of so many times its azimuth.
        south: (E, n, n) bool, neighbours at the south pole, which score by `pole` instead.
        pole: (E, n, n) score of a neighbour at the south pole.
        limit: azimuths of at least so many rad do not count.
    """
    near = np.ones_like(score, dtype=bool) if south is None else ~south
    counted = frames.placed & near[:, :, :, None] & near[:, :, None, :]
    if limit < np.inf:
        counted &= frames.azimuth < limit
    placed = np.where(counted, np.cos(folds * frames.azimuth) ** 2, 0.0)
    total = np.where(near, score, 0.0) + np.einsum("ejkm,ejm->ejk", placed, score)
    number = near + counted.sum(-1).astype(float)
    if south is not None and pole is not None:
        at_pole = frames.others & south[:, :, None, :]
        total += np.einsum("ejkm,ejm->ejk", at_pole.astype(float), pole)
        number += at_pole.sum(-1)
    return _best(total, number, frames)


def _best(total: np.ndarray, number: np.ndarray, frames: _Frames) -> np.ndarray:
    mean = np.divide(total, number, out=np.zeros_like(total), where=number > SMALL)
    return mean[:, frames.pairs].max(-1)


def _cuboctahedral(p: dict, frames: _Frames) -> np.ndarray:
    """Twelve neighbours: four on the equator, three above and three below, one at the far pole."""
    share, polar = frames.polar / np.pi, frames.polar
    low, high = p[4], p[2]
    south, equator = polar >= p["min_SPP"], (polar > low) & (polar < high)
    total = np.where(south, p["w_SPP"] * _bell(share - 1.0, p["IGW_SPP"]), 0.0)
    number = np.where(south, p["w_SPP"], 0.0)
    tilt = 0.0556 * (np.cos(frames.azimuth - np.pi / 2) - 0.81649658)
    level = np.cos(frames.azimuth) ** 2 * _bell(share - 0.5, p[5])[:, :, None, :]
    slope = np.exp(-0.5 * tilt**2)
    upper = slope * _bell(share - 1 / 3, p[6])[:, :, None, :]
    lower = slope * _bell(share - 2 / 3, p[6])[:, :, None, :]
    counted = frames.placed & ~south[:, :, None, :] & equator[:, :, :, None]
    parts = [(equator, level), (polar < low, upper), (polar > high, lower)]
    for where, values in parts:
        chosen = counted & where[:, :, None, :]
        total += np.where(chosen, values, 0.0).sum(-1)
        number += chosen.sum(-1)
    return _best(total, number, frames)


def _body_centred(p: dict, frames: _Frames, ties: np.ndarray) -> np.ndarray:
    """Peters' parameter of the body-centred cubic shell, over the pairs with j before k."""
    polar, count = frames.polar, frames.polar.shape[-1]
    south = polar >= p["min_SPP"]
    pole = np.where(south, p["w_SPP"] * _bell(polar / np.pi - 1.0, p["IGW_SPP"]), 0.0)
    offset = (polar - np.pi / 2) / np.arcsin(1 / 3)
    height = offset * np.exp(-0.5 * offset**2 + 0.5)
    terms = np.where(frames.placed, np.cos(3 * frames.azimuth), 0.0)
    around = np.einsum("ejkm,ejm->ejk", terms, height)
    sign = np.where(polar > np.pi / 2 + ON_EQUATOR, 1.0, -1.0)
    pair = pole + np.where(south, 0.0, sign * around)
    before = np.triu(np.ones((count, count)), 1)
    tied = (ties[:, :, None] == ties[:, None, :]) & frames.pairs
    total = (pair * np.where(tied, 0.5, before)).sum((-1, -2))
    return total / (0.5 * count * (6 + (count - 2) * (count - 3)))


def _bond_orientation(order: int, cosines: np.ndarray) -> np.ndarray:
    """Steinhardt's q_l; by the addition theorem its square is the mean of P_l over all pairs."""
    from scipy.special import eval_legendre

    return np.sqrt(np.clip(eval_legendre(order, cosines).mean((-1, -2)), 0, None))


def _bell(deviation: np.ndarray, inverse_width: float) -> np.ndarray:
    return np.exp(-0.5 * (inverse_width * deviation) ** 2)
