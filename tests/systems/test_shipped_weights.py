"""Whatever lies in flowllm/pretrained: it is small, goes into a wheel, loads and generates."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from flowllm.systems.parts import PRETRAINED
from flowllm.systems.recipes import SYSTEMS
from flowllm.systems.record import SystemRecord, find_model, shipped_models
from flowllm.systems.system import FlowLLM

pytestmark = pytest.mark.slow

MEBIBYTE = 2**20
MODELS = sorted(path.name for path in PRETRAINED.iterdir() if path.is_dir())
LARGER = {"mp20-compact": 13, "mp20-symmetric": 19}
"""Models that came before the limit of 5 MB, by theirs."""
WITH_LOGS = set(LARGER)
"""Models whose loss curves notebooks and notes draw."""
ENDINGS = {".json", ".safetensors", ".npz", ".md"}
RULES = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["tool"][
    "setuptools"
]["package-data"]["flowllm"]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_small(model):
    assert size(PRETRAINED / model) <= LARGER.get(model, 5) * MEBIBYTE


def test_models_and_data_together_are_below_70_megabytes():
    assert size(PRETRAINED) + size(PRETRAINED.parent / "reference") <= 70e6


def test_no_large_file_ships_twice():
    """A part of another model is named by `system.json`, not copied."""
    files = [p for p in PRETRAINED.rglob("*") if p.is_file() and p.stat().st_size > 10_000]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    twice = [path for path, digest in zip(files, digests, strict=True) if digests.count(digest) > 1]
    assert twice == []


@pytest.mark.parametrize("model", MODELS)
def test_a_wheel_takes_all_that_a_model_needs_and_nothing_else_lies_there(model):
    rules = [rule.removeprefix("pretrained/") for rule in RULES if rule.startswith("pretrained/")]
    taken = {path for rule in rules for path in PRETRAINED.glob(rule)}
    assert PRETRAINED / model / "system.json" in taken
    for path in (PRETRAINED / model).rglob("*"):
        if path.is_file() and not (path.name == "log.jsonl" and model in WITH_LOGS):
            assert path in taken and path.suffix in ENDINGS, path
        assert not path.name.startswith((".", "checkpoint")), path


@pytest.mark.parametrize("model", MODELS)
def test_no_path_of_a_machine_lies_in_a_model(model):
    def texts(value):
        if isinstance(value, dict):
            return [t for pair in value.items() for one in pair for t in texts(one)]
        if isinstance(value, list):
            return [t for one in value for t in texts(one)]
        return [value] if isinstance(value, str) else []

    for path in (PRETRAINED / model).rglob("*.json"):
        if path.name == "tokenizer.json":  # its texts are single words
            continue
        for text in texts(json.loads(path.read_text("utf-8"))):
            assert not Path(text).is_absolute() and ":\\" not in text, (path, text)


@pytest.mark.parametrize("model", MODELS)
def test_each_model_loads_by_its_name_and_recipe_and_generates(model):
    record = SystemRecord.read(PRETRAINED / model)
    made_of = SYSTEMS[record.recipe]
    assert find_model(record.recipe) == find_model(model) == PRETRAINED / model
    assert record.parts["prior"].kind == made_of.prior
    assert ("refiner" in record.parts) == (made_of.refiner is not None)
    assert shipped_models()[model] == record.recipe
    system = FlowLLM.from_pretrained(model, "cpu")
    made = system.generate(2, seed=1)
    assert len(made.refined) == 2
    assert (made.refined.atomic_numbers > 0).all()
    assert (made.refined.volumes > 0).all()
    assert np.isfinite(made.refined.frac_coords).all()
