"""Muon for matrices, AdamW for the rest."""

import copy

import pytest
import torch
from torch import nn

from flowllm.training.muon import MuonAdamW, muon_factory, muon_groups, orthogonalise


def vectors(count: int = 2) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(7)) for _ in range(count)]


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_orthogonalise_brings_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix)
    values = torch.linalg.svdvals(found)
    # the least singular value of a square matrix is tiny, and five rounds do not lift it up to 1
    values = values[:-1] if shape[0] == shape[1] else values
    assert values.min() > 0.5 and values.max() < 1.3
    # in the same directions: U^T X V is nearly diagonal
    inner = u.T @ found @ vh.T
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-3
    assert torch.allclose(orthogonalise(matrix * 1e4), found, atol=1e-4)  # no matter how large


def test_well_conditioned_matrices_come_out_orthogonal():
    u, _, vh = torch.linalg.svd(torch.randn(20, 30, generator=torch.Generator().manual_seed(1)))
    values = torch.linspace(0.4, 1.0, 20)
    found = torch.linalg.svdvals(orthogonalise(u @ torch.diag(values) @ vh[:20]))
    assert found.min() >= 0.65 and found.max() <= 1.3


def test_vectors_move_as_with_adamw_of_torch():
    ours, theirs = vectors(), vectors()
    mine = MuonAdamW(
        [{"params": ours, "muon": False, "weight_decay": 0.1}], lr=0.01, betas=(0.9, 0.95)
    )
    reference = torch.optim.AdamW(theirs, lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(25):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(7, generator=generator)
            b.grad = a.grad.clone()
        mine.step()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(ours[0], vectors()[0], atol=0.01)


def test_a_step_of_muon_by_hand():
    torch.manual_seed(3)
    parameter, gradient = nn.Parameter(torch.randn(6, 10)), torch.randn(6, 10)
    before = parameter.detach().clone()
    optimizer = MuonAdamW(
        [{"params": [parameter], "muon": True, "weight_decay": 0.5}], lr=0.1, momentum=0.9
    )
    parameter.grad = gradient.clone()
    optimizer.step()
    average = 0.1 * gradient
    nesterov = 0.1 * gradient + 0.9 * average
    expected = before * (1 - 0.05) - 0.1 * 0.2 * 10**0.5 * orthogonalise(nesterov)
    assert torch.allclose(parameter, expected, atol=1e-6)


def test_a_resumed_optimizer_goes_on_as_an_uninterrupted_one():
    def run(steps, parameters, optimizer, first=0):
        for step in range(first, steps):
            generator = torch.Generator().manual_seed(step)
            for p in parameters:
                p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step()

    def fresh():
        torch.manual_seed(4)
        parameters = [nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(5))]
        groups = [
            {"params": parameters[:1], "muon": True, "weight_decay": 0.1},
            {"params": parameters[1:], "muon": False, "weight_decay": 0.0},
        ]
        return parameters, MuonAdamW(groups, lr=0.02)

    whole, optimizer = fresh()
    run(9, whole, optimizer)
    half, first = fresh()
    run(4, half, first)
    saved = copy.deepcopy(first.state_dict())
    rest, second = fresh()
    with torch.no_grad():
        for new, old in zip(rest, half, strict=True):
            new.copy_(old)
    second.load_state_dict(saved)
    run(9, rest, second, first=4)
    assert all(torch.equal(a, b) for a, b in zip(whole, rest, strict=True))


def test_groups_of_a_model():
    from flowllm.methods.language_model import CompactConfig, build_compact
    from flowllm.text import build_tokenizer

    model = build_compact(build_tokenizer(), CompactConfig(32, 2, 2, 64, 128))
    matrices, embeddings, rest = muon_groups(model, 0.1)
    assert matrices["muon"] and not embeddings["muon"] and not rest["muon"]
    assert len(matrices["params"]) == 2 * 7 and all(p.ndim == 2 for p in matrices["params"])
    assert embeddings["params"][0] is model.get_input_embeddings().weight
    assert rest["weight_decay"] == 0.0 and all(p.ndim == 1 for p in rest["params"])
    together = [p for group in (matrices, embeddings, rest) for p in group["params"]]
    assert {id(p) for p in together} == {id(p) for p in model.parameters()}
    optimizer = muon_factory()(model, lr=1e-3, weight_decay=0.1)
    assert [g["lr"] for g in optimizer.param_groups] == [1e-3] * 3


def test_groups_of_the_flow():
    from flowllm.networks.cspnet import VelocityNet
    from flowllm.networks.settings import VelocityConfig

    net = VelocityNet(VelocityConfig(hidden=16, layers=2, num_types=5))
    matrices, ends, rest = muon_groups(net, 0.1)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    named = {names[id(p)] for p in ends["params"]}
    assert named == {"type_embedding.weight", "coord_head.weight", "cell_head.weight"}
    assert all(p.ndim == 2 for p in matrices["params"]) and all(p.ndim == 1 for p in rest["params"])


def test_frozen_parameters_stay_and_a_closure_is_called():
    a, b = vectors()
    optimizer = MuonAdamW([{"params": [a, b], "muon": False}], lr=0.1)
    before = b.detach().clone()

    def closure():
        a.grad = torch.ones(7)
        return 3.5

    assert optimizer.step(closure) == 3.5
    assert torch.equal(b, before) and not torch.equal(a, vectors()[0])
