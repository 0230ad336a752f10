"""Muon for the matrices inside a network, AdamW for the rest, as one optimizer.

Muon (Jordan et al., 2024; scaling of Liu et al., arXiv 2502.16982) replaces a matrix's momentum by
the nearest orthogonal matrix. torch's own `torch.optim.Muon` orthogonalises in bfloat16 whatever
the parameters are, which most laptop processors emulate hundreds of times slower than float32;
here it is done in the parameters' own precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Quintic Newton-Schulz iteration: slopes that bring every singular value near 1 in five rounds.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Roughly U Vᵀ of the singular value decomposition U S Vᵀ of a matrix (m, n)."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(rounds):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T


class MuonAdamW(torch.optim.Optimizer):
    """Both rules in one optimizer, so that schedules and checkpoints see a single one.

    Args:
        params: groups with a key "muon" that says which rule is theirs.
        lr: learning rate of both; Muon's step is scaled by 0.2 sqrt(max(m, n)), which gives it the
            root mean square of an AdamW step.
        weight_decay: decoupled.
        momentum: of Muon (Nesterov).
        betas: of AdamW.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both rules."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                if group["muon"]:
                    self._muon(parameter, gradient, group)
                else:
                    self._adam(parameter, gradient, group)
        return loss

    def _muon(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        update = orthogonalise(gradient.lerp(average, group["momentum"]))
        parameter.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))

    def _adam(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].lerp_(gradient.square(), 1 - beta2)
        scale = math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
        parameter.addcdiv_(mean, square.sqrt().add_(1e-8), value=-group["lr"] * scale)


def muon_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups: matrices inside the network to Muon; its ends and vectors to AdamW.

    An embedding or an output layer is known by its name, which holds "embed" or "head".
    """
    matrices, embeddings, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif "embed" in name or "head" in name:
            embeddings.append(parameter)
        else:
            matrices.append(parameter)
    return [
        {"params": matrices, "muon": True, "weight_decay": weight_decay},
        {"params": embeddings, "muon": False, "weight_decay": weight_decay},
        {"params": vectors, "muon": False, "weight_decay": 0.0},
    ]


def muon_factory() -> Callable[..., MuonAdamW]:
    """What `Trainer(optimizer_cls_and_kwargs=…)` calls to build the optimizer for its model."""

    def build(model: nn.Module, *, lr: float, weight_decay: float) -> MuonAdamW:
        return MuonAdamW(muon_groups(model, weight_decay), lr=lr, weight_decay=weight_decay)

    return build
