"""Templates made by `flowllm train`, alone and beside a language model of symmetric texts."""

import json

import pytest

from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings
from flowllm.methods.templates.ranked import RankedPrior
from flowllm.systems.record import SystemRecord
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.package import largest_written
from flowllm.workflows.train.settings import LanguageModelSettings
from flowllm.workflows.train.system import SystemTraining, train_system

TINY = LanguageModelSettings(
    sizes=CompactConfig(16, 1, 2, 24),
    training=LMTrainSettings(epochs=1, batch_size=9, validation_rows=3, threads=1),
)
OPTIONS = {"device": "cpu", "workers": 1}


@pytest.mark.parametrize("name", ["templates", "flowllm-symmetric"])
def test_a_system_of_templates_is_trained_kept_and_drawn_from(name, prepared, tmp_path):
    wanted = SystemTraining(prior=TINY if name == "flowllm-symmetric" else None)
    made = train_system(name, prepared, tmp_path / "out", wanted, **OPTIONS)
    assert json.loads((tmp_path / "out" / "prior" / "run.json").read_text())["status"] == "finished"
    assert SystemRecord.read(made).recipe == name
    system = FlowLLM.from_pretrained(made, "cpu")
    training = load_dataset(prepared, "train").crystals
    composition = training.compositions[0]
    result = system.generate(2, composition=composition)
    assert result.refined.compositions == [composition] * 2
    templates = system.prior.templates if name == "flowllm-symmetric" else system.prior
    assert len(templates.table) == len(training)
    if isinstance(system.prior, RankedPrior):
        assert system.prior.language_model.format.name == "wyckoff"  # whatever the settings said
        assert largest_written(system.prior) == load_dataset(prepared, "train").max_atoms
    # finished, it is not made again: the data would be read for it
    table = made / "prior" / ("templates/" * (name == "flowllm-symmetric") + "templates.npz")
    written = table.stat().st_mtime_ns
    train_system(name, prepared, tmp_path / "out", wanted, **OPTIONS)
    assert table.stat().st_mtime_ns == written


def test_a_folder_without_its_templates_is_named(prepared, tmp_path):
    made = train_system("templates", prepared, tmp_path / "out", SystemTraining(), **OPTIONS)
    (made / "prior" / "templates.npz").unlink()
    with pytest.raises(InputError, match=r"templates\.npz"):
        FlowLLM.from_pretrained(made, "cpu")
