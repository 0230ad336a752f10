"""Symmetry operations that a block lists, those of magnetic groups included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.cif.tags import Tags
from flowllm.crystals.cif.values import plain, shown
from flowllm.errors import InputError

if TYPE_CHECKING:
    import gemmi

OPERATIONS = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
MAGNETIC = ("_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_centering_xyz")
MODULATED = ("_cell_modulation_dimension", "_space_group_symop_ssg_operation_algebraic")
_MODULATED = frozenset(MODULATED)
MAX_OPERATIONS = 1_000
_IDENTITY = ("x,y,z",)
_CHARACTERS = re.compile(r"[xyz0-9+\-/.,]+", re.IGNORECASE)
_LARGE = re.compile(r"(?<![.\d])\d{4}|.{100}")  # numbers that would overflow


@dataclass(frozen=True, eq=False)
class Setting:
    """A space group in one setting: m operations, the identity first.

    Attributes:
        name: Hermann-Mauguin symbol with its suffix, or what the operations were called.
        number: international number; 0 where it is not known.
        rotations: (m, 3, 3); x' = rotation @ x + translation in fractional coordinates.
        translations: (m, 3).
    """

    name: str
    number: int
    rotations: np.ndarray
    translations: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)

    @cached_property
    def key(self) -> frozenset[bytes]:
        """Equal for equal sets of operations."""
        shifts = np.round(self.translations * 24).astype(np.int64) % 24
        rows = np.concatenate([np.round(self.rotations).reshape(-1, 9), shifts], axis=1)
        return frozenset(row.tobytes() for row in rows.astype(np.int64))


def setting_of(group: gemmi.GroupOps, name: str, number: int) -> Setting:
    """gemmi's operations as arrays."""
    import gemmi

    operations = list(group)
    rotations = np.array([op.rot for op in operations]) / gemmi.Op.DEN
    translations = np.array([op.tran for op in operations]) / gemmi.Op.DEN
    return Setting(name, number, rotations, translations)


def listed_operations(tags: Tags) -> Setting | None:
    """The operations that a block lists; None where it lists none.

    Raises:
        InputError: one cannot be read, they are too many or no group; or the structure is
            modulated.
    """
    for tag in MODULATED if tags.known(_MODULATED) else ():
        if tag in tags and not set(tags.column(tag)) <= {"0", ".", "?"}:
            raise InputError(f"a modulated structure ({tag}); only unmodulated ones are supported")
    for tag in OPERATIONS:
        texts = _texts(tags, tag)
        if texts:
            return _group(texts)
    texts = _texts(tags, MAGNETIC[0])
    if not texts:
        return None
    return _group(_without_time(texts), _without_time(_texts(tags, MAGNETIC[1])) or _IDENTITY)


def _texts(tags: Tags, tag: str) -> tuple[str, ...]:
    if tags.count(tag) > MAX_OPERATIONS:
        raise InputError(
            f"{tags.count(tag)} symmetry operations; at most {MAX_OPERATIONS} are read"
        )
    values = map(plain, tags.column(tag))
    return tuple([value for value in values if value not in ("", "?", ".")])


def _without_time(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Operations of a magnetic group without their action on moments."""
    return tuple(re.sub(r"\s*,\s*[+-]?1\s*$", "", text) for text in texts)


@lru_cache(maxsize=256)
def _group(texts: tuple[str, ...], centrings: tuple[str, ...] = _IDENTITY) -> Setting:
    rotations, shifts = _arrays(texts)
    if centrings != _IDENTITY:
        turns, moves = _arrays(centrings)
        if not (turns == np.eye(3, dtype=np.int64)).all():
            raise InputError("a magnetic centring is not a translation")
        rotations = np.tile(rotations, (len(moves), 1, 1))
        shifts = (shifts[None, :, :] + moves[:, None, :]).reshape(-1, 3) % 24
    rows = np.concatenate([rotations.reshape(-1, 9), shifts], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    first = np.sort(first)
    if len(first) > MAX_OPERATIONS:
        raise InputError(f"{len(first)} symmetry operations; at most {MAX_OPERATIONS} are read")
    rotations, shifts = rotations[first], shifts[first]
    identity = (rotations == np.eye(3, dtype=np.int64)).all((1, 2)) & (shifts == 0).all(1)
    order = np.argsort(~identity, kind="stable")
    rotations, shifts = rotations[order], shifts[order]
    if not identity.any() or not _closed(rotations, shifts):
        raise InputError(f"the {len(rotations)} symmetry operations listed do not form a group")
    name, number = _named(rotations, shifts)
    return Setting(name, number, rotations.astype(float), shifts / 24)


def _arrays(texts: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Integer rotations (m, 3, 3) and translations (m, 3) in 24ths, in [0, 24)."""
    import gemmi

    rotations, shifts = [], []
    for text in texts:
        compact = re.sub(r"^\d+\s+(?=\S*[xyz])|\s", "", text)
        try:
            if not _CHARACTERS.fullmatch(compact) or _LARGE.search(compact):
                raise RuntimeError
            operation = gemmi.Op(compact)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"the symmetry operation '{shown(text)}' cannot be read") from error
        turn = np.array(operation.rot)
        if abs(operation.det_rot()) != gemmi.Op.DEN**3 or (turn % gemmi.Op.DEN).any():
            raise InputError(f"'{shown(text)}' is not a symmetry operation")
        rotations.append(turn // gemmi.Op.DEN)
        shifts.append(np.array(operation.tran) * 24 // gemmi.Op.DEN % 24)
    return np.array(rotations, dtype=np.int64), np.array(shifts, dtype=np.int64)


def _closed(rotations: np.ndarray, shifts: np.ndarray) -> bool:
    """Whether every product of two operations is among them."""
    powers = 5 ** np.arange(9, dtype=np.int64)

    def codes(turn: np.ndarray, move: np.ndarray) -> np.ndarray:
        code: np.ndarray = ((turn.reshape(*turn.shape[:-2], 9) + 2) @ powers) * 24**3
        return code + (move % 24) @ np.array([576, 24, 1])

    if abs(rotations).max() > 2:
        return False
    own = codes(rotations, shifts)
    for turn, move in zip(rotations, shifts, strict=True):
        products = turn @ rotations
        if (
            abs(products).max() > 2
            or not np.isin(codes(products, shifts @ turn.T + move), own).all()
        ):
            return False
    return True


def _named(rotations: np.ndarray, shifts: np.ndarray) -> tuple[str, int]:
    """Symbol and number of the group; spglib knows those in unusual axes."""
    import gemmi

    triplets = []
    for turn, move in zip(rotations, shifts, strict=True):
        operation = gemmi.Op()
        operation.rot = (turn * gemmi.Op.DEN).tolist()
        operation.tran = (move * gemmi.Op.DEN // 24).tolist()
        triplets.append(operation)
    try:
        group = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(triplets))
    except (RuntimeError, ValueError):
        group = None
    if group is not None:
        return group.xhm(), group.number
    import spglib

    kind = spglib.get_spacegroup_type_from_symmetry(rotations, shifts / 24)
    if kind is None:
        return f"{len(rotations)} operations", 0
    return f"{kind.international_short} in other axes", int(kind.number)
