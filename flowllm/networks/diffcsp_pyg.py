"""DiffCSP's denoising network as PyTorch Geometric message passing: slower, and easy to read.

The same function as `flowllm.networks.diffcsp.DiffCSPNet`, of which it takes the parameters; a test
holds the two equal.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn
from torch_geometric.utils import scatter

from flowllm.networks.cspnet import VelocityLayer
from flowllm.networks.cspnet_pyg import MessageLayer
from flowllm.networks.diffcsp import DiffCSPNet, cell_inputs
from flowllm.networks.features import difference_features, image_distances, time_embedding


class ReferenceDiffCSPNet(nn.Module):
    """The network on a PyG batch of complete graphs.

    Args:
        net: the dense network whose parameters are taken (not copied).
    """

    def __init__(self, net: DiffCSPNet) -> None:
        super().__init__()
        self.net = net
        self.layers = nn.ModuleList(
            MessageLayer(cast(VelocityLayer, layer)) for layer in net.layers
        )

    def forward(
        self,
        species: torch.Tensor,
        frac_coords: torch.Tensor,
        edge_index: torch.Tensor,
        batch: torch.Tensor,
        lattices: torch.Tensor,
        t: torch.Tensor,
        alpha_bar: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores (N, 3), noise of lattices (B, 3, 3) and of species (N, 100 or 0).

        Args:
            species: (N,) int64, or (N, 100) noisy one-hot vectors.
            frac_coords: (N, 3).
            edge_index: (2, E) from j to i, self-edges included.
            batch: (N,) the crystal of each atom.
            lattices: (B, 3, 3) in Å.
            t: (B,).
            alpha_bar: (B,).
        """
        net, config = self.net, self.net.config
        source, target = edge_index
        metric = lattices @ lattices.mT
        pairs = torch.stack([frac_coords[target], frac_coords[source]], 1)
        edges = difference_features(pairs, config.num_frequencies)[:, 0, 1]
        if net.radial is not None:
            distances = image_distances(pairs, metric[batch[target]])[:, 0, 1]
            edges = torch.cat([edges, net.radial(distances)], -1)
        time, signal = time_embedding(t, config.time_dim)[batch], alpha_bar[batch][:, None]
        h = net.mix(torch.cat([net.embed(species, signal), time], -1))
        cell = cell_inputs(metric, alpha_bar, config)[batch]
        for layer in self.layers:
            h = layer(h, edge_index, edges, cell, time)
        h = net.norm(h)
        mean = scatter(h, batch, dim=0, dim_size=len(t), reduce="mean")
        return (
            net.coord_head(h),
            net.lattice_noise(mean, lattices, alpha_bar),
            net.species_noise(h, species, signal),
        )
