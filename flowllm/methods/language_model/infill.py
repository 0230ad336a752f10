"""Infilling: elements for masked sites, ranked by the language model's likelihood.

Gruver et al. train a language model to name the masked element. Here no such training is needed:
the model gives every whole crystal a probability, so each element is put in the place of the mask
and the crystals that come out are compared, p(e | rest) = p(crystal with e) / sum over e'. That is
exact for the model, cannot name what is not an element, and ranks all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import MP20_ELEMENTS, NUMBER_OF
from flowllm.data.reduce import ReduceSettings, reduce_structure
from flowllm.errors import InputError
from flowllm.methods.language_model.likelihood import as_crystal_set, score
from flowllm.methods.language_model.prior import LanguageModelPrior

if TYPE_CHECKING:
    from pymatgen.core import Structure

TRAINED_ON = MP20_ELEMENTS
"""What the shipped model knows."""


@dataclass(frozen=True)
class Proposals:
    """Elements for masked sites, the likeliest first.

    Attributes:
        elements: K symbols.
        nats: (K,) log-likelihoods of the whole crystals.
        shares: (K,) probabilities among all candidates; they add up to 1 over these.
        crystals: the K crystals, reduced.
    """

    elements: tuple[str, ...]
    nats: np.ndarray
    shares: np.ndarray
    crystals: CrystalBatch

    def __len__(self) -> int:
        return len(self.elements)

    def first(self, num: int) -> Proposals:
        """The `num` likeliest."""
        return Proposals(
            self.elements[:num], self.nats[:num], self.shares[:num], self.crystals[:num]
        )


def masked_sites(
    structure: Structure,
    sites: Sequence[int] | None = None,
    element: str | None = None,
    atoms_of_sites: Sequence[Sequence[int]] = (),
) -> list[int]:
    """Positions, from 0, of the atoms to be masked.

    Args:
        structure: n atoms.
        sites: numbers of sites, counted from 1 as crystallographers do.
        element: or all atoms of this element; a whole symbol, C is not Ca.
        atoms_of_sites: per site of the file the positions of its atoms, where symmetry makes
            several of one; left out, each atom is a site.

    Raises:
        InputError: a number is outside the structure, the element is not in it, or not exactly one
            of both is given.
    """
    if (sites is None) == (element is None):
        raise InputError("infilling needs either sites or an element to mask")
    present = [site.specie.symbol for site in structure]
    if element is not None:
        found = [place for place, symbol in enumerate(present) if symbol == element]
        if not found:
            held = ", ".join(dict.fromkeys(present))
            raise InputError(f"the structure contains no {element}; it has {held}")
        return found
    assert sites is not None
    if not sites:
        raise InputError("the list of sites is empty")
    atoms = atoms_of_sites or [(place,) for place in range(len(present))]
    for number in sites:
        if not 1 <= number <= len(atoms):
            raise InputError(
                f"site {number} is outside the structure; its sites are 1 to {len(atoms)}"
            )
    return sorted({place for number in sites for place in atoms[number - 1]})


def propose_elements(
    prior: LanguageModelPrior,
    structure: Structure,
    masked: Sequence[int],
    candidates: Sequence[str] = TRAINED_ON,
    allow_present: bool = False,
) -> Proposals:
    """All candidates in the place of the mask, ranked by likelihood.

    Args:
        prior: the language model.
        structure: the crystal; what stands on the masked sites plays no part.
        masked: positions from 0, of `masked_sites`; all get the same element.
        candidates: symbols to choose from; of all of them those that the training data have, where
            the prior knows these.
        allow_present: also propose elements of the sites that are not masked. That makes a crystal
            of fewer elements, often of a smaller cell, whose likelihood is not quite comparable.

    Raises:
        InputError: no candidate, an unknown one, or a crystal that is too large for the model.
    """
    unknown = [symbol for symbol in candidates if symbol not in NUMBER_OF]
    if unknown:
        raise InputError(f"unknown element {unknown[0]!r}")
    if tuple(candidates) == TRAINED_ON and prior.pool is not None:
        candidates = [symbol for symbol in candidates if symbol in prior.pool]
    hidden = set(masked)
    present = {site.specie.symbol for k, site in enumerate(structure) if k not in hidden}
    chosen = [s for s in dict.fromkeys(candidates) if allow_present or s not in present]
    if not chosen:
        raise InputError("no candidate is left; the other sites contain all the given elements")
    filled, limit = [], ReduceSettings(max_atoms=prior.format.max_atoms)
    with warnings.catch_warnings():  # pymatgen sorts by it, and misses that of the noble gases
        warnings.filterwarnings("ignore", "No Pauling electronegativity")
        for symbol in chosen:
            guess = structure.copy()
            for place in masked:
                guess.replace(place, symbol)
            filled.append(reduce_structure(guess, symbol, limit))
    data = as_crystal_set(CrystalBatch.concatenate(filled))
    nats = score(
        prior.model, prior.tokenizer, data, outline=prior.outline, text_format=prior.format
    ).total
    order = np.argsort(-nats, kind="stable")
    shares = np.exp(nats - nats.max())
    shares /= shares.sum()
    elements = tuple(str(name) for name in data.crystals.ids[order])
    return Proposals(elements, nats[order], shares[order], data.crystals[order])
