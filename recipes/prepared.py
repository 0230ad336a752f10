"""Arrays that a machine without the project's data can train from, as three files and a tokenizer.

`language_model.npz` holds the prompts of every training crystal in several wordings, and its text
in all equivalent ones, as tokens; `equivariant.npz` holds crystals with what their space groups
allow, and `pairs.npz` where templates place them; `train.npz` and `val.npz` hold the crystals,
with their properties. Texts are one behind the other, with offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.crystals.cells import concatenated_ranges
from flowllm.data.dataset import CrystalSet
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.language_model.examples import IGNORED

TEXTS, TARGETS, PAIRS = "language_model.npz", "equivariant.npz", "pairs.npz"
TOKENIZER = "tokenizer"
FORMAT, MAX_ATOMS = "wyckoff", 20
SPLITS = ("train", "val")
HELD_OUT = {"unconditional": (), "composition": ("composition",)}
"""What is given when held-out crystals are scored, as in `language_model.train`."""


@dataclass(frozen=True)
class Ragged:
    """Rows of whole numbers of different lengths.

    Attributes:
        values: (T,) all rows, one behind the other.
        offsets: (R + 1,) where each begins, and the end.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, rows: list[list[int]], kind: type = np.uint16) -> Ragged:
        """From lists."""
        lengths = np.array([len(row) for row in rows])
        flat = np.fromiter((value for row in rows for value in row), kind, int(lengths.sum()))
        return cls(flat, np.concatenate([[0], np.cumsum(lengths)]))

    @property
    def lengths(self) -> np.ndarray:
        """(R,) of each row."""
        return np.diff(self.offsets)

    def head(self, count: int) -> Ragged:
        """The first rows."""
        return Ragged(self.values[: self.offsets[count]], self.offsets[: count + 1])

    def padded(self, rows: np.ndarray, out: np.ndarray, begin: np.ndarray) -> None:
        """Write rows (B,) into `out` (B, width), row k from column `begin[k]` on."""
        lengths = self.lengths[rows]
        line = np.repeat(np.arange(len(rows)), lengths)
        place = np.arange(len(line)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        out[line, begin[line] + place] = self.values[
            concatenated_ranges(self.offsets[rows], lengths)
        ]


@dataclass(frozen=True)
class PreparedTexts:
    """Prompts and texts of N crystals.

    Attributes:
        prompts: V of each crystal, those of one beside each other.
        learnt: 1 for tokens of the prompts that the model writes itself, else 0.
        answers: the texts.
        first: (N + 1,) where each crystal's texts begin among `answers`.
    """

    prompts: Ragged
    learnt: Ragged
    answers: Ragged
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def wordings(self) -> int:
        """Prompts of each crystal."""
        return (len(self.prompts.offsets) - 1) // len(self)

    def head(self, count: int) -> PreparedTexts:
        """The first crystals."""
        texts, prompts = int(self.first[count]), count * self.wordings
        return PreparedTexts(
            self.prompts.head(prompts), self.learnt.head(prompts), self.answers.head(texts),
            self.first[: count + 1],
        )  # fmt: skip

    def lengths(self) -> np.ndarray:
        """(N,) about how many tokens the examples of each crystal take."""
        prompt = self.prompts.lengths.reshape(len(self), -1).max(1)
        return prompt + np.maximum.reduceat(self.answers.lengths, self.first[:-1])

    def batch(
        self, rows: np.ndarray, rng: np.random.Generator | None, canonical: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """(B, width) tokens and labels of crystals (B,), in wordings drawn by `rng` or the first.

        With `canonical` always each crystal's first text. Padding is 0, and has no label.
        """
        drawn = np.zeros((2, len(rows))) if rng is None else rng.random((2, len(rows)))
        prompt = rows * self.wordings + (drawn[0] * self.wordings).astype(int)
        some = np.diff(self.first)[rows]
        answer = self.first[rows] + (drawn[1] * some * (not canonical)).astype(int)
        begin = self.prompts.lengths[prompt]
        shape = (len(rows), int((begin + self.answers.lengths[answer]).max()))
        ids, labels = np.zeros(shape, np.int64), np.full(shape, IGNORED)
        counts = np.zeros(shape, np.int64)
        none = np.zeros_like(begin)
        self.prompts.padded(prompt, ids, none)
        self.answers.padded(answer, ids, begin)
        self.learnt.padded(prompt, counts, none)
        self.answers.padded(answer, labels, begin)
        return ids, np.where(counts == 1, ids, labels)


def save_texts(folder: Path, parts: dict[str, PreparedTexts]) -> None:
    """Write `language_model.npz`."""
    arrays = {}
    for name, part in parts.items():
        arrays[f"{name}_first"] = part.first
        for kind in ("prompts", "learnt", "answers"):
            rows: Ragged = getattr(part, kind)
            arrays[f"{name}_{kind}"] = rows.values
            arrays[f"{name}_{kind}_offsets"] = rows.offsets
    np.savez_compressed(folder / TEXTS, allow_pickle=False, **arrays)


def load_texts(folder: Path) -> dict[str, PreparedTexts]:
    """Read `language_model.npz`: "train", and "unconditional" and "composition" to score."""
    with np.load(folder / TEXTS) as file:
        return {
            name: PreparedTexts(
                *(
                    Ragged(file[f"{name}_{kind}"], file[f"{name}_{kind}_offsets"])
                    for kind in ("prompts", "learnt", "answers")
                ),
                file[f"{name}_first"],
            )
            for name in ("train", *HELD_OUT)
        }


def save_crystals(folder: Path, parts: dict[str, CrystalSet]) -> None:
    """Write `train.npz` and `val.npz`: crystals with their properties."""
    for name, part in parts.items():
        part.save(folder / f"{name}.npz")


def load_crystals(folder: Path) -> dict[str, CrystalSet]:
    """Read "train" and "val"."""
    return {name: CrystalSet.load(folder / f"{name}.npz") for name in SPLITS}


def save_targets(folder: Path, parts: dict[str, SymmetricTargets]) -> None:
    """Write `equivariant.npz`."""
    arrays = {
        f"{name}_{field}": getattr(part, field)
        for name, part in parts.items()
        for field in SymmetricTargets.__dataclass_fields__
    }
    np.savez_compressed(folder / TARGETS, allow_pickle=False, **arrays)


def load_targets(folder: Path) -> dict[str, SymmetricTargets]:
    """Read `equivariant.npz`: "train" and "val"."""
    with np.load(folder / TARGETS) as file:
        return {
            name: SymmetricTargets(
                *(file[f"{name}_{field}"] for field in SymmetricTargets.__dataclass_fields__)
            )
            for name in SPLITS
        }
