"""`recipes.gpu` for the systems of the literature: no pymatgen, in time, resumed to the bit."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from flowllm.errors import InputError
from flowllm.methods.diffcsp.settings import DiffCSPSettings
from flowllm.systems.record import SystemRecord
from flowllm.systems.system import FlowLLM
from recipes import budgeted, gpu, paused, prepared, ship_systems
from recipes.prepare import prepare
from recipes.train_literature import SIZES, settings_of

pytestmark = pytest.mark.slow

ROWS, STEPS = 48, 6
TINY = f"--device cpu --workers 0 --batch 8 --steps {STEPS} --checks 2 --hidden 16 --layers 1"
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pymatgen", "matminer", "smact", "chgnet", "plotly"):
            raise ImportError(f"{name} is not on such a machine")

sys.meta_path.insert(0, Missing())
import torch
from recipes import gpu

torch.set_num_threads(1)
for line in sys.argv[1:]:
    sys.argv = ["gpu", *line.split()]
    gpu.main()
"""


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arrays")
    prepare(folder, wordings=1, rows=ROWS, crystals_only=True)
    return folder


@pytest.fixture(scope="module")
def trained(arrays, tmp_path_factory, script_environment):
    """Folders of all three systems, trained by a process that has no pymatgen."""
    out = tmp_path_factory.mktemp("trained")
    lines = [f"{name} {arrays} {out / name} {TINY}" for name in gpu.LITERATURE]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *lines],
        env=script_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return out


def run(monkeypatch, line: str) -> None:
    monkeypatch.setattr("sys.argv", ["gpu", *line.split()])
    gpu.main()


def test_crystals_alone_are_what_is_prepared(arrays):
    assert sorted(p.name for p in arrays.iterdir()) == ["train.npz", "val.npz"]
    train = prepared.load_crystals(arrays)["train"]
    assert len(train) == ROWS and "formation_energy" in train.properties


@pytest.mark.parametrize("name", gpu.LITERATURE)
def test_a_miniature_is_a_system(trained, name):
    folder = trained / name
    logs = sorted(folder.glob("*/log.jsonl"))
    assert [log.parent.name for log in logs] == (["vae"] if name == "cdvae" else ["csp", "dng"])
    for log in logs:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["step"] for line in lines] == [STEPS // 2, STEPS]
        assert all(math.isfinite(value) for line in lines for value in line.values())
        assert {"loss", "eval_loss"} <= set(lines[-1])
    assert SystemRecord.read(folder / "model").recipe == name
    system = FlowLLM.from_pretrained(folder / "model", "cpu")
    assert len(system.generate(2, seed=1).refined) == 2
    if name != "cdvae":
        assert system.generate(1, formula="TiO2").refined.formulas == ["TiO2"]


@pytest.mark.parametrize("name", gpu.LITERATURE)
def test_a_paused_training_goes_on_to_the_same_weights(
    trained, arrays, name, tmp_path, monkeypatch, capsys
):
    torch.set_num_threads(1)
    line = f"{name} {arrays} {tmp_path} {TINY}"
    with monkeypatch.context() as patch:
        patch.setattr(budgeted.Budget, "is_paused", property(lambda self: self.step >= 4))
        run(patch, line)
    assert "is paused after 4 of 6 steps" in capsys.readouterr().out
    run(monkeypatch, line)
    for file in (trained / name / "model").rglob("model.safetensors"):
        mine = load_file(tmp_path / file.relative_to(trained / name))
        for key, value in load_file(file).items():
            assert torch.equal(mine[key], value), (file, key)
    log = next(tmp_path.glob("*/log.jsonl")).read_text().splitlines()
    assert [json.loads(text)["step"] for text in log] == [3, 6]


def test_a_training_ends_within_its_minutes(arrays, tmp_path, monkeypatch):
    line = f"diffcsp {arrays} {tmp_path} --device cpu --workers 0 --batch 8 --hidden 16 --layers 1"
    began = time.perf_counter()
    run(monkeypatch, f"{line} --task csp --epochs 100000 --budget 0.05 --checks 2")
    assert time.perf_counter() - began < 60
    last = json.loads((tmp_path / "csp" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < last["step"] < 600_000 and last["seconds"] >= 3
    system = FlowLLM.from_pretrained(tmp_path / "model", "cpu")
    made = system.generate(1, formula="TiO2", refinement=DiffCSPSettings(steps=5))
    assert made.refined.formulas == ["TiO2"]


def test_another_training_in_the_same_folder_is_refused(trained, arrays, monkeypatch, capsys):
    line = f"flowmm {arrays} {trained / 'flowmm'} {TINY.replace('hidden 16', 'hidden 24')}"
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, line)
    assert caught.value.code == 2
    assert "holds a training with another hidden" in capsys.readouterr().err


def test_it_is_packed_as_what_flowllm_train_wrote(trained, arrays, tmp_path):
    ship_systems.ship("cdvae", trained / "cdvae", tmp_path, machine="a test")
    about = json.loads((tmp_path / "mp20-cdvae" / "training.json").read_text())
    assert about["arguments"]["hidden"] == "16" and str(arrays) not in str(about)
    assert about["vae"]["figures"]["step"] == STEPS
    one, other = (
        FlowLLM.from_pretrained(m, "cpu")
        for m in (tmp_path / "mp20-cdvae", trained / "cdvae" / "model")
    )
    assert one.prior.digest() == other.prior.digest()
    assert one.refiner.digest() == other.refiner.digest()


@pytest.mark.parametrize("name", gpu.LITERATURE)
def test_sizes_are_those_of_the_cpu_of_a_gpu_and_of_the_paper(name):
    def hidden(size: str, **given) -> int:
        values = {"hidden": None, "layers": None, "epochs": None, "batch": None, "rate": None}
        values |= {"command": name, "size": size, "seed": 0} | given
        return settings_of(gpu.argparse.Namespace(**values)).network.hidden

    assert hidden("cpu") < hidden("gpu") == SIZES["gpu"][name]["hidden"] < hidden("paper")
    assert hidden("gpu", hidden=8) == 8


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_state_gives_back_model_average_and_optimizer(optimizer, tmp_path):
    def made():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
        average = torch.optim.swa_utils.AveragedModel(model)
        if optimizer == "adamw":
            return model, average, torch.optim.AdamW(model.parameters(), lr=0.1)
        groups = budgeted.muon_groups(model, 0.1)
        return model, average, budgeted.MuonAdamW(groups, lr=0.1)

    def step(model, average, chosen):
        model(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
        chosen.step()
        average.update_parameters(model)

    one, other = made(), made()
    step(*one)
    paused.save_state(tmp_path / "state", *one, {"step": 1, "seconds": 2.5})
    assert paused.load_state(tmp_path / "state", *other) == {"step": 1.0, "seconds": 2.5}
    for parts in (one, other):
        parts[0].zero_grad()
        step(*parts)
    for part in (0, 1):
        for mine, theirs in zip(one[part].parameters(), other[part].parameters(), strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", gpu.LITERATURE)
def test_a_training_goes_on_from_the_weights_of_another(
    trained, arrays, tmp_path, monkeypatch, name
):
    begin = trained / name / "model"
    line = TINY.replace(f"--steps {STEPS}", "--steps 1") + f" --begin-with {begin}"
    run(monkeypatch, f"{name} {arrays} {tmp_path / 'on'} {line} --rate 1e-12 --seed 3")
    for file in begin.rglob("refiner/**/model.safetensors"):
        mine = load_file(tmp_path / "on" / "model" / file.relative_to(begin))
        for key, value in load_file(file).items():
            assert torch.allclose(mine[key].float(), value.float(), atol=1e-6), (file, key)
    other = line.replace("hidden 16", "hidden 24")
    with pytest.raises(InputError, match="another size"):
        run(monkeypatch, f"{name} {arrays} {tmp_path / 'other'} {other}")


def test_weights_of_another_system_are_refused(trained, arrays, tmp_path, monkeypatch):
    begin = trained / "cdvae" / "model"
    with pytest.raises(InputError, match="is not a system of flowmm"):
        run(monkeypatch, f"flowmm {arrays} {tmp_path} {TINY} --begin-with {begin}")
