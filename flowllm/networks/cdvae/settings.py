"""Sizes of CDVAE's networks; kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowllm.errors import InputError
from flowllm.settings import setting

MOST_CUTOFF = 20.0


@dataclass(frozen=True)
class CDVAEConfig:
    """Sizes of the networks.

    The paper has DimeNet++ as encoder and GemNet-T as decoder, with hidden states of 128 and
    cutoffs of 7 Å; ours are message passing with scalars and vectors, and smaller.

    Attributes:
        latent: dimension of the latent vector.
        hidden: scalars and vectors per atom; in encoder and decoder.
        layers: message-passing layers; in each of the two.
        basis: radial basis functions.
        cutoff: cutoff radius of the neighbours, in Å.
        head_hidden: width of each head's hidden layer.
        level_input: feed the noise level to the decoder; the paper does not, and only divides the
            output by the level to get the score.
        max_atoms: atoms of the largest cell; of the training data.

    Raises:
        InputError: a value is out of range.
    """

    latent: int = 256
    hidden: int = 64
    layers: int = 3
    basis: int = 16
    cutoff: float = 5.0
    head_hidden: int = 256
    level_input: bool = True
    max_atoms: int = setting(20, option=False)

    def __post_init__(self) -> None:
        for name in ("latent", "hidden", "layers", "basis", "head_hidden", "max_atoms"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.cutoff <= MOST_CUTOFF:
            raise InputError(
                f"cutoff must be above 0 and at most {MOST_CUTOFF:g} Å, not {self.cutoff}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return asdict(self)
