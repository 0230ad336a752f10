"""Systems that name a part of a model which ships with the package, instead of holding a copy."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from flowllm.cli import main
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import LMTrainSettings
from flowllm.systems.parts import PRETRAINED, PartRecord, shipped_part
from flowllm.systems.record import SystemRecord
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.settings import SpeciesSettings
from flowllm.workflows.train.source import load_prior
from flowllm.workflows.train.system import SystemTraining, train_system

pytestmark = pytest.mark.slow

LM = PRETRAINED / "mp20-compact" / "lm"
SHARED = {"kind": "language-model", "folder": "lm", "model": "mp20-compact"}
SMALL = (
    "--pairs-num-pairs 3 --refiner-epochs 1 --refiner-batch-size 4 --refiner-hidden 16 "
    "--refiner-layers 1 --device cpu --workers 1"
)


def trained(prepared, out, *options) -> int:
    return main(["train", "flowllm-types", str(prepared), "--out", str(out), *SMALL.split(),
                 *options])  # fmt: skip


@pytest.fixture(scope="module")
def types(prepared, tmp_path_factory):
    """Types of the shipped language model, and a flow from them, trained by one command."""
    out = tmp_path_factory.mktemp("types") / "out"
    assert trained(prepared, out, "--prior-language-model-of", "mp20-compact") == 0
    return out


def test_a_part_of_a_shipped_model_is_known_by_its_folder(tmp_path):
    assert shipped_part("language-model", LM) == PartRecord("language-model", "lm", "mp20-compact")
    (tmp_path / "link").symlink_to(LM)
    assert shipped_part("language-model", tmp_path / "link").place(tmp_path) == LM
    for other in (tmp_path, PRETRAINED, LM.parent, PRETRAINED / "nothing" / "lm"):
        assert shipped_part("language-model", other) is None


def test_types_name_the_language_model_and_hold_no_copy(types):
    model = types / "model"
    assert not list(types.rglob("tokenizer.json"))
    assert json.loads((model / "prior" / "base.json").read_text())["language_model"] == SHARED
    assert SystemRecord.read(model).recipe == "flowllm-types"
    system = FlowLLM.from_pretrained(model, "cpu")
    assert isinstance(system.prior, BasePrior)
    assert (
        system.prior.species.digest()
        == LanguageModelPrior.load(LM).limited_to(system.training.elements).digest()
    )
    made = system.generate(2, formula="NaCl", refinement=RefineSettings(steps=1))
    assert made.refined.formulas == ["NaCl"] * 2


def test_saved_again_it_names_the_language_model_again(types, tmp_path):
    system = FlowLLM.from_pretrained(types / "model", "cpu")
    system.save_pretrained(tmp_path / "copy", half=True)
    assert not (tmp_path / "copy" / "prior" / "lm").exists()
    again = FlowLLM.from_pretrained(tmp_path / "copy", "cpu")
    assert again.prior.digest() == system.prior.digest()


def test_a_recipe_of_a_simple_base_leaves_no_pair_out(types):
    pairs = json.loads((types / "pairs" / "run.json").read_text())
    assert (pairs["settings"]["samples_per_target"], pairs["settings"]["perturbed"]) == (4, 0)
    flow = json.loads((types / "refiner" / "run.json").read_text())
    assert (flow["settings"]["max_distance"], flow["settings"]["max_strain"]) == (1.0, 10.0)
    assert flow["pairs_trained_on"] == pairs["summary"]["pairs"] == 12


def test_the_language_model_of_a_folder_is_copied(prepared, system_folder, tmp_path):
    out, options = tmp_path / "out", ("--prior-language-model-of", str(system_folder))
    assert trained(prepared, out, *options, "--only", "prior") == 0
    assert "language_model" not in json.loads((out / "prior" / "base.json").read_text())
    taken = load_prior("types", out / "prior", prepared)
    original = LanguageModelPrior.load(system_folder / "prior")
    assert taken.species.digest() == original.digest()
    assert trained(prepared, out, *options, "--only", "prior") == 0  # the same run
    settings = SystemTraining(SpeciesSettings(language_model_of="mp20-compact"))
    with pytest.raises(InputError, match="language_model is .* there and .* now"):
        train_system("flowllm-types", prepared, out, settings, only="prior", device="cpu")


def test_what_is_no_language_model_is_named(prepared, tmp_path, capsys):
    for name, words in (
        ("mp20-templates", "the prior of mp20-templates is of kind templates, not a language"),
        ("mp20-none", "mp20-none is not a model"),
    ):
        assert trained(prepared, tmp_path / "out", "--prior-language-model-of", name) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(InputError, match="the language model of mp20-compact is trained"):
        SpeciesSettings(training=LMTrainSettings(epochs=1), language_model_of="mp20-compact")


def test_combine_names_shipped_parts_on_request(prepared, types, tmp_path, capsys):
    flow = PRETRAINED / "mp20-compact" / "flow"
    line = f"combine --lm {LM} --flow {flow} --data mp_20"
    out = tmp_path / "shared"
    assert main([*line.split(), "--share", "--out", str(out)]) == 0, capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == ["system.json"]
    whole, shared = (FlowLLM.from_pretrained(m, "cpu") for m in ("flowllm", out))
    assert shared.prior.digest() == whole.prior.digest()
    assert shared.refiner.digest() == whole.refiner.digest()
    out, flow = tmp_path / "types", types / "refiner"
    line = f"combine --prior types --lm {LM} --flow {flow} --data {prepared} --out {out}"
    assert main([*line.split(), "--share"]) == 0
    one, other = (FlowLLM.from_pretrained(m, "cpu") for m in (out, types / "model"))
    assert one.digest().split()[1] == other.digest().split()[1]
    assert not list(out.rglob("tokenizer.json"))
    assert main(line.replace(str(out), str(tmp_path / "copy")).split()) == 0
    assert (tmp_path / "copy" / "prior" / "lm" / "tokenizer.json").is_file()


@pytest.mark.parametrize(
    "changed",
    [{"model": "mp20-none"}, {"model": ""}, {"kind": "flow"}, {"folder": "../mp20-symmetric"}],
)
def test_a_damaged_name_of_a_language_model_is_refused(types, tmp_path, changed):
    system = FlowLLM.from_pretrained(types / "model", "cpu")
    system.save_pretrained(tmp_path)
    file = tmp_path / "prior" / "base.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "language_model": {**SHARED, **changed}}))
    with pytest.raises(InputError, match=r"base\.json: ") as caught:
        FlowLLM.from_pretrained(tmp_path, "cpu")
    assert len(str(caught.value).splitlines()) == 1


def test_a_combined_system_may_start_on_the_way(tmp_path, prepared):
    """As CrysLLMGen does: any kind of refiner, and the time at which crystals enter it."""
    flow = PRETRAINED / "mp20-compact" / "flow"
    out, words = tmp_path / "out", f"combine --lm {LM} --flow {flow} --start 0.5 --share --out"
    assert main([*words.split(), str(out)]) == 0
    assert SystemRecord.read(out).start == 0.5
    made = FlowLLM.from_pretrained(out, "cpu").generate(1, refinement=RefineSettings(steps=2))
    assert np.allclose(made.trajectory.times[0], 0.5)
    for wrong in ("1.0", "-0.1", "nan"):
        assert main([*words.replace("0.5", wrong).split(), str(tmp_path / "new")]) == 2


@pytest.mark.parametrize("prior", ["language-model", "types"])
def test_a_model_never_names_parts_of_itself(prior, tmp_path, monkeypatch, capsys):
    """It would hold no more than their names."""
    own = shutil.copytree(PRETRAINED / "mp20-compact", tmp_path / "mp20-compact")
    for module in ("flowllm.systems.parts", "flowllm.workflows.train.package"):
        monkeypatch.setattr(f"{module}.PRETRAINED", tmp_path)
    before = sorted(own.rglob("*"))
    line = f"combine --lm {own / 'lm'} --flow {own / 'flow'} --prior {prior} --share --overwrite"
    assert main([*line.split(), "--out", str(own)]) == 2
    assert "holds a part that the system would name" in capsys.readouterr().err
    assert sorted(own.rglob("*")) == before
