"""Systems whose JSON or weights were changed: a line at once, and nothing large is built."""

from __future__ import annotations

import json
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.systems.system import FlowLLM

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(system_folder, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(system_folder, tmp_path / "damaged")


def change(file, **values):
    """Other values in a JSON file, at any depth."""
    content = json.loads(file.read_text())
    for name, value in values.items():
        place = content
        *path, last = name.split("__")
        for step in path:
            place = place[step]
        place[last] = value
    file.write_text(json.dumps(content))


def refused(folder, words):
    started = time.perf_counter()
    with pytest.raises(InputError, match=words) as caught:
        FlowLLM.from_pretrained(folder, "cpu")
    assert len(str(caught.value).splitlines()) == 1
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hidden_layers", -1),
        ("num_hidden_layers", 0),
        ("num_hidden_layers", 10**6),
        ("num_hidden_layers", "two"),
        ("num_hidden_layers", True),
        ("hidden_size", 10**7),
        ("intermediate_size", 10**9),
        ("vocab_size", 10**9),
        ("num_attention_heads", 10**8),
        ("num_attention_heads", 0),
        ("head_dim", -4),
        ("max_position_embeddings", 10**15),
        ("rms_norm_eps", -1.0),
        ("rope_parameters", {"rope_type": "default", "rope_theta": 0}),
        ("rope_theta", 0),
        ("rope_theta", "high"),
    ],
)
def test_sizes_of_a_language_model_that_its_weights_do_not_have(folder, name, value):
    change(folder / "prior" / "config.json", **{name: value})
    refused(folder, rf"config\.json: {name if name != 'rope_parameters' else 'rope_theta'} is ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layers", 10**7),
        ("layers", -1),
        ("layers", 2),
        ("hidden", 10**6),
        ("hidden", 17),
        ("time_dim", 10**7),
        ("num_frequencies", 10**8),
        ("distance_features", 10**9),
        ("cell_frequencies", 10**9),
        ("num_types", 10**9),
    ],
)
def test_sizes_of_a_flow_that_its_weights_do_not_have(folder, name, value):
    change(folder / "refiner" / "config.json", **{f"network__{name}": value})
    refused(folder, "refiner: ")


@pytest.mark.parametrize("scale", [1e12, 1e30])
def test_huge_weights_are_named_before_or_at_their_use(folder, scale):
    file = folder / "refiner" / "model.safetensors"
    save_file({n: v.float() * scale for n, v in load_file(file).items()}, file)
    crystal = CrystalBatch([11, 17], [[0, 0, 0], [0.5, 0.5, 0.5]], [[4.0] * 3], [[90.0] * 3], [2],
                           ["a"])  # fmt: skip
    with pytest.raises(InputError, match=r"velocities are not finite|holds a value"):
        FlowLLM.from_pretrained(folder, "cpu").refiner.refine(crystal)


def test_a_language_model_of_huge_weights_is_refused(folder):
    file = folder / "prior" / "model.safetensors"
    weights = {name: torch.ones_like(value.float()) for name, value in load_file(file).items()}
    weights["model.norm.weight"] *= 1e38
    save_file(weights, file, metadata={"format": "pt"})
    refused(folder, "probabilities are not finite numbers")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, b"\xff" * 7 + b"\x00{}", b"\2\0\0\0\0\0\0\0[]"]
)
@pytest.mark.parametrize("part", ["prior", "refiner"])
def test_weights_without_a_sound_header_are_named(folder, part, content):
    (folder / part / "model.safetensors").write_bytes(content)
    refused(folder, r"model\.safetensors is corrupt")


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "null", "3", ""])
@pytest.mark.parametrize("name", ["system.json", "prior/config.json", "refiner/config.json"])
def test_json_of_another_form_is_named(folder, name, content):
    (folder / name).write_text(content)
    refused(folder, name.split("/")[-1])
