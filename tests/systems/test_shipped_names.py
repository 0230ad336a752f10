"""Shipped models are found by their names and their recipes; one may lend parts to another."""

import json

import numpy as np
import pytest

from flowllm.errors import InputError
from flowllm.systems.record import PRETRAINED, SystemRecord, find_model, shipped_models
from flowllm.systems.system import FlowLLM


def test_a_shipped_model_is_found_by_the_recipe_it_was_made_by():
    assert find_model("flowllm") == PRETRAINED / "mp20-compact"
    assert find_model("flowllm-symmetric") == PRETRAINED / "mp20-symmetric"
    assert find_model("crystalllm") == PRETRAINED / "mp20-crystalllm"


def test_no_two_shipped_models_have_one_recipe():
    recipes = list(shipped_models().values())
    assert "" not in recipes and len(set(recipes)) == len(recipes)


def test_an_unknown_name_is_answered_by_all_models_and_recipes():
    with pytest.raises(InputError, match=r"mp20-compact \(flowllm\)"):
        find_model("flow-llm")


def test_a_part_of_another_model_is_that_of_the_other():
    lone, whole = (FlowLLM.from_pretrained(name, "cpu") for name in ("crystalllm", "flowllm"))
    assert lone.refiner is None
    assert lone.prior.digest() == whole.prior.digest()
    made, again = lone.generate(3, seed=4), whole.generate(3, seed=4)
    assert np.array_equal(made.refined.frac_coords, again.prior.frac_coords)


def test_saved_it_holds_the_part_itself(tmp_path):
    FlowLLM.from_pretrained("crystalllm", "cpu").save_pretrained(tmp_path / "copy", half=True)
    record = SystemRecord.read(tmp_path / "copy")
    assert record.parts["prior"].model == "" and record.recipe == "crystalllm"
    assert (tmp_path / "copy" / "prior" / "model.safetensors").is_file()


@pytest.mark.parametrize("model", ["mp20-none", "../pretrained/mp20-compact", "/etc"])
def test_a_part_lies_in_a_shipped_model_or_nowhere(tmp_path, model):
    content = json.loads((PRETRAINED / "mp20-crystalllm" / "system.json").read_text())
    content["parts"]["prior"]["model"] = model
    (tmp_path / "system.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="is not a model that ships with the package"):
        FlowLLM.from_pretrained(tmp_path)
