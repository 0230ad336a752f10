"""CHGNet's energy and its gradient for many graphs at once, with the weights of the package.

The network of Deng et al. (Nature Machine Intelligence 5, 1031, 2023) as chgnet 0.4 evaluates it,
in an order of operations that costs a quarter: the first layer of each gated perceptron is applied
to atoms and bonds before they are gathered for each edge, bonds beyond the bond graph's cutoff skip
the bond convolution that leaves them as they are, and one backward pass to the bond vectors gives
forces and stress together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from flowllm.relax.graphs import BondGraph

if TYPE_CHECKING:
    from chgnet.model import CHGNet

TURN = 1 - 1e-6  # keeps the arc cosine off the ends, where its slope is infinite, as chgnet does


def linear_layers(perceptron: Any) -> list[nn.Linear]:
    """The linear layers of a chgnet MLP, in their order."""
    return [layer for layer in perceptron.modules() if isinstance(layer, nn.Linear)]


class GatedLayers:
    """chgnet's GatedMLP with its first layer split by the parts of its input.

    Attributes:
        parts: the first layer's matrices (D, 2 H), one for each part of the input; the left half of
            the columns leads to the core, the right half to the gate.
        bias: (2 H,) of the first layer.
    """

    def __init__(self, gated: Any, width: int):
        core, gate = linear_layers(gated.mlp_core), linear_layers(gated.mlp_gate)
        first = torch.cat([core[0].weight, gate[0].weight])
        self.parts = [part.T.contiguous() for part in first.split(width, dim=1)]
        self.bias = torch.cat([core[0].bias, gate[0].bias])
        self.second = list(zip(core[1:], gate[1:], strict=True))
        self.norms = gated.bn1, gated.bn2

    def __call__(self, hidden: Tensor) -> Tensor:
        """From the first layer's output (E, 2 H) to the result (E, H)."""
        for core_layer, gate_layer in self.second:
            core, gate = functional.silu(hidden).chunk(2, dim=1)
            hidden = torch.cat([core_layer(core), gate_layer(gate)], dim=1)
        core, gate = hidden.chunk(2, dim=1)
        return functional.silu(self.norms[0](core)) * torch.sigmoid(self.norms[1](gate))


class FastChgnet:
    """CHGNet for relaxation: energies and their gradients with respect to bond vectors.

    Args:
        model: a CHGNet with the architecture of version 0.3.0; it is not changed.
        dtype: float32 as trained, or float64 for derivatives by finite differences.
    """

    def __init__(self, model: CHGNet, dtype: torch.dtype = torch.float32):
        from copy import deepcopy

        self.dtype = dtype
        self.model: Any = deepcopy(model).to(dtype).eval().requires_grad_(False)
        width = model.atom_fea_dim
        self.atom_layers = [
            (GatedLayers(layer.twoBody_atom, width), linear_layers(layer.mlp_out)[0])
            for layer in self.model.atom_conv_layers
        ]
        self.bond_layers = [
            (GatedLayers(layer.twoBody_bond, width), linear_layers(layer.mlp_out)[0])
            for layer in self.model.bond_conv_layers
        ]
        # the last update of the angles reaches nothing
        angle_layers = self.model.angle_layers[: len(self.bond_layers) - 1]
        self.angle_layers = [GatedLayers(layer.twoBody_bond, width) for layer in angle_layers]

    def __call__(
        self, atomic_numbers: np.ndarray, graph: BondGraph
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies (N,) of atoms in eV and the gradient (U, 3) of their sum in eV/Å."""
        vectors = torch.from_numpy(graph.vectors).to(self.dtype).requires_grad_(True)
        with torch.enable_grad():
            energies = self.atom_energies(torch.from_numpy(atomic_numbers - 1), vectors, graph)
            (gradient,) = torch.autograd.grad(energies.sum(), vectors)
        shifts = self.model.composition_model.fc.weight[0].numpy()
        total = energies.detach().numpy().astype(np.float64) + shifts[atomic_numbers - 1]
        return total, gradient.numpy().astype(np.float64)

    def atom_energies(self, species: Tensor, vectors: Tensor, graph: BondGraph) -> Tensor:
        """Energies (N,) without the composition model, from species (N,) and vectors (U, 3)."""
        model, short = self.model, graph.short
        first, second = torch.from_numpy(graph.first), torch.from_numpy(graph.second)
        centres = torch.cat([first, second])
        lengths = vectors.norm(dim=1)
        basis = model.bond_basis_expansion.rbf_expansion_ag(lengths)
        weights = model.bond_weights_ag(basis)
        weights = torch.cat([weights, weights])
        near, far = model.bond_embedding(basis).tensor_split([short])
        atoms = model.atom_embedding(species)
        angles = AngleFeatures(model, vectors[:short], lengths[:short], graph)
        for index, (gated, out) in enumerate(self.atom_layers):
            centre, bond, neighbor = gated.parts
            as_centre = torch.addmm(gated.bias, atoms, centre)
            as_neighbor = atoms @ neighbor
            of_bond = torch.cat([near, far]) @ bond
            there = as_centre.index_select(0, first) + as_neighbor.index_select(0, second)
            back = as_centre.index_select(0, second) + as_neighbor.index_select(0, first)
            messages = gated(torch.cat([there + of_bond, back + of_bond])) * weights
            atoms = atoms + out(torch.zeros_like(atoms).index_add(0, centres, messages))
            if index < len(self.bond_layers) and len(graph.pairs):
                gated, out = self.bond_layers[index]
                messages = gated(angles.gather(gated, near, atoms)) * angles.weights
                near = near + out(torch.zeros_like(near).index_add(0, angles.one, messages))
                if index < len(self.angle_layers):
                    gated = self.angle_layers[index]
                    angles.features = angles.features + gated(angles.gather(gated, near, atoms))
        return model.mlp(model.readout_norm(atoms))[:, 0]


class AngleFeatures:
    """Features of A = 2 P angles: each pair of bonds in both orders.

    Attributes:
        one: (A,) short bond that gets the message.
        other: (A,) short bond that it forms an angle with.
        centres: (A,) atom where they meet.
        weights: (A, D) the product of both bonds' smooth weights.
        features: (A, D).
    """

    def __init__(self, model: Any, vectors: Tensor, lengths: Tensor, graph: BondGraph):
        unit = vectors / lengths[:, None]
        unit = torch.cat([unit, -unit])  # with direction, away from the atom where it starts
        pair_one, pair_other = torch.from_numpy(graph.pairs).T
        cosines = (unit.index_select(0, pair_one) * unit.index_select(0, pair_other)).sum(1)
        waves = torch.outer(
            torch.acos(cosines * TURN), model.angle_basis_expansion.fourier_expansion.frequencies
        )
        constant = torch.full_like(waves[:, :1], 0.5**0.5)
        basis = torch.cat([constant, waves.sin(), waves.cos()], dim=1) / np.pi**0.5
        features = model.angle_embedding(basis)
        self.features = torch.cat([features, features])
        directed = torch.cat([pair_one, pair_other])
        self.centres = torch.from_numpy(graph.starts).index_select(0, directed)
        short = max(graph.short, 1)  # without short bonds there are no pairs either
        self.one, self.other = directed % short, torch.cat([pair_other, pair_one]) % short
        smooth = model.bond_weights_bg(model.bond_basis_expansion.rbf_expansion_bg(lengths))
        self.weights = smooth.index_select(0, self.one) * smooth.index_select(0, self.other)

    def gather(self, gated: GatedLayers, bonds: Tensor, atoms: Tensor) -> Tensor:
        """The first layer's output (A, 2 H) on bonds (S, D), angles and atoms (N, D)."""
        one, other, angle, centre = gated.parts
        hidden = torch.addmm(gated.bias, self.features, angle)
        hidden = hidden + (bonds @ one).index_select(0, self.one)
        hidden = hidden + (bonds @ other).index_select(0, self.other)
        return hidden + (atoms @ centre).index_select(0, self.centres)
