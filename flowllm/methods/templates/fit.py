"""Fitting a similarity of elements to templates, to predict structures from compositions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowllm.crystals.elements import SYMBOLS
from flowllm.methods.language_model.element_embeddings import element_properties
from flowllm.methods.templates.similarity import Similarity
from flowllm.methods.templates.stoichiometry import Stoichiometry

PAIRS = 1_500_000  # of a batch's roles and all templates' at a time
LARGEST_BATCH, STEP_ROWS = 64, 48
RIDGE = 0.3  # crystals' worth of doubt about the volume of an element
TINY = 1e-6
NEVER = -1e9  # a finite score, whose gradient is one


@dataclass(frozen=True)
class FitSettings:
    """Settings of the fit of a similarity.

    Attributes:
        epochs: passes over the templates.
        size: numbers of an element's point.
        learning_rate: peak, of the image of the elements' properties; half of it for the points'
            own parts.
        decay: of the points' own parts.
        seed: of the first points and of the order.
    """

    epochs: int = 3
    size: int = 16
    learning_rate: float = 2e-2
    decay: float = 1e-4
    seed: int = 0


class _Points(torch.nn.Module):
    """Points of the elements: an image of their properties, and a part of their own."""

    def __init__(self, size: int) -> None:
        super().__init__()
        properties = torch.from_numpy(element_properties()).float()
        self.properties: Tensor
        self.register_buffer("properties", properties)
        spread = 0.7 / math.sqrt(size)
        self.image = torch.nn.Parameter(torch.randn(properties.shape[1], size) * spread)
        self.own = torch.nn.Parameter(torch.zeros(len(SYMBOLS), size))
        self.power = torch.nn.Parameter(torch.tensor(0.5))
        self.log_scale = torch.nn.Parameter(torch.tensor(1.0))

    def points(self) -> Tensor:
        return self.properties @ self.image + self.own

    def between(self) -> Tensor:
        points = self.points()
        return ((points[:, None] - points[None]) ** 2).sum(-1).add(TINY).sqrt()


def fit_similarity(
    known: list[Stoichiometry],
    settings: FitSettings | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Similarity:
    """Fit the similarity by which templates of other formulas predict prototype and roles.

    Args:
        known: the templates by stoichiometry.
        settings: how.
        progress: called with the pass and its mean loss, in nats a template.
    """
    chosen = settings or FitSettings()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen.seed)
        model = _Points(chosen.size)
    shared = [model.image, model.power, model.log_scale]
    optimizer = torch.optim.Adam([{"params": shared}, {"params": [model.own]}])
    rng = np.random.default_rng(chosen.seed)
    several = [one for one in known if len(one.rows) > 1]
    for epoch in range(chosen.epochs):
        batches = _batches(several, rng)
        total = count = waiting = 0.0
        for place, (one, rows) in enumerate(batches):
            rest = 1 - (epoch + place / len(batches)) / chosen.epochs
            rate = chosen.learning_rate * math.sin(math.pi / 2 * rest) ** 2
            for group, share in zip(optimizer.param_groups, (1.0, 0.5), strict=True):
                group["lr"] = rate * share
            losses = _losses(model, one, rows)
            if not len(losses):
                continue
            decay = chosen.decay * (model.own**2).sum() * len(losses)
            ((losses.sum() + decay) / STEP_ROWS).backward()
            total += float(losses.detach().sum())
            count += len(losses)
            waiting += len(losses)
            if waiting >= STEP_ROWS:
                optimizer.step()
                optimizer.zero_grad()
                waiting = 0
        if progress:
            progress(epoch, total / max(count, 1))
    with torch.no_grad():
        points = model.points().numpy()
    scale, power = float(model.log_scale.detach().exp()), float(model.power.detach())
    return Similarity(points.astype(np.float16), power, scale, fit_volumes(known))


def fit_volumes(known: list[Stoichiometry]) -> np.ndarray:
    """(119,) logarithmic volumes of the elements in crystals of one prototype, by least squares."""
    rows, volumes, prototypes = [], [], []
    for index, one in enumerate(known):
        shares = np.array(one.counts) / sum(one.counts)
        fractions = np.zeros((len(one.rows), len(SYMBOLS)))
        for role, share in enumerate(shares):
            np.add.at(fractions, (np.arange(len(one.rows)), one.elements[:, role]), share)
        rows.append(fractions)
        volumes.append(one.log_volumes)
        prototypes += [(index, int(k)) for k in one.prototype]
    place = {key: k for k, key in enumerate(dict.fromkeys(prototypes))}
    group = np.array([place[key] for key in prototypes])
    design, wanted = np.concatenate(rows), np.concatenate(volumes)
    size = np.bincount(group)
    means = np.zeros((len(size), len(SYMBOLS)))
    np.add.at(means, group, design)
    design = design - (means / size[:, None])[group]
    wanted = wanted - (np.bincount(group, wanted) / size)[group]
    normal = design.T @ design + RIDGE * np.eye(len(SYMBOLS))
    return np.linalg.solve(normal, design.T @ wanted).astype(np.float32)


def _batches(
    known: list[Stoichiometry], rng: np.random.Generator
) -> list[tuple[Stoichiometry, np.ndarray]]:
    found = []
    for one in known:
        pairs = len(one.rows) * len(one.orders) * len(one.counts)
        size = min(LARGEST_BATCH, max(1, PAIRS // pairs))
        order = rng.permutation(len(one.rows))
        found += [(one, order[i : i + size]) for i in range(0, len(order), size)]
    return [found[k] for k in rng.permutation(len(found))]


def _losses(model: _Points, one: Stoichiometry, rows: np.ndarray) -> Tensor:
    """-log of the vote share for the true prototype and roles, where there are votes."""
    elements = torch.from_numpy(one.elements)
    counts = torch.tensor(one.counts, dtype=torch.float32)
    weights = model.log_scale.exp() * (counts / counts.sum()) ** model.power
    orders = torch.tensor(one.orders)
    asked = elements[torch.from_numpy(rows)][:, orders]  # (B, P, e)
    between = model.between()
    scores = -(between[asked[:, :, None], elements[None, None]] * weights).sum(-1)  # (B, P, N)
    formulas = torch.from_numpy(one.formulas)
    same = formulas[torch.from_numpy(rows)][:, None] == formulas
    scores = scores.masked_fill(same[:, None], NEVER)
    # the first order gives the roles as they are: votes for its arrangement are right
    prototype = torch.from_numpy(one.prototype)
    arrangement = torch.from_numpy(one.arrangement)
    own = arrangement[prototype[torch.from_numpy(rows)], 0]  # (B,)
    right = arrangement[prototype].T[None] == own[:, None, None]
    found = scores.masked_fill(~right, NEVER).flatten(1).logsumexp(1)
    some = found > NEVER / 2
    return scores[some].flatten(1).logsumexp(1) - found[some]
