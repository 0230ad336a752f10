"""What the systems of the literature cannot do is one plain line, before any work, and code 2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flowllm.cli import main
from flowllm.errors import InputError
from flowllm.methods.base.open_species import OpenPrior
from flowllm.methods.cdvae.levels import NoiseLevels
from flowllm.methods.cdvae.model import CDVAEModel
from flowllm.methods.cdvae.prior import CDVAEPrior
from flowllm.methods.cdvae.refiner import CDVAERefiner
from flowllm.methods.cdvae.statistics import CDVAEStatistics
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.flowmm.batches import base_statistics
from flowllm.methods.flowmm.refiner import FlowMMRefiner
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.networks.cdvae.network import CDVAE
from flowllm.networks.cdvae.settings import CDVAEConfig
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_settings import DiffCSPConfig
from flowllm.networks.flowmm_settings import FlowMMConfig
from flowllm.systems.parts import PRETRAINED
from flowllm.systems.system import FlowLLM

pytestmark = pytest.mark.slow

LM = PRETRAINED / "mp20-compact" / "lm"
HISTOGRAM = [0, 3, 2, 1, 1, *[0] * 15]
TASKS = {"both": ("csp", "dng"), "csp": ("csp",), "dng": ("dng",)}


@pytest.fixture(scope="module")
def systems(sample_crystals, tmp_path_factory):
    """Untrained systems: NAME-both, NAME-csp and NAME-dng of FlowMM and DiffCSP, and cdvae."""
    out = tmp_path_factory.mktemp("systems")
    base = OpenPrior.fit("flowmm-base", sample_crystals)
    statistics = base_statistics(sample_crystals, base.geometry, "flowmm")
    flows = {
        task: OpenCrystalVelocity(FlowMMConfig(16, 1, draws_species=task == "dng"), statistics)
        for task in TASKS["both"]
    }
    diffusions = {
        task: DiffCSPNet(DiffCSPConfig(16, 1, draws_species=task == "dng"))
        for task in TASKS["both"]
    }
    normal = OpenPrior.fit("diffcsp-base", sample_crystals)
    for name, tasks in TASKS.items():
        flow = FlowMMRefiner({task: flows[task] for task in tasks})
        FlowLLM(base, flow, HISTOGRAM).save_pretrained(out / f"flowmm-{name}")
        diffusion = DiffCSPRefiner({task: diffusions[task] for task in tasks})
        FlowLLM(normal, diffusion, HISTOGRAM).save_pretrained(out / f"diffcsp-{name}")
    known = CDVAEStatistics.fit(sample_crystals, np.full(len(sample_crystals), np.nan))
    network = CDVAE(CDVAEConfig(latent=8, hidden=16, layers=1, head_hidden=16))
    model = CDVAEModel.of(network, known, NoiseLevels(), "cpu")
    prior = CDVAEPrior(model.network.heads, known)
    FlowLLM(prior, CDVAERefiner(model), HISTOGRAM).save_pretrained(out / "cdvae")
    return out


@pytest.fixture
def here(systems, tmp_path, monkeypatch):
    """A folder to work in, with the systems beside it."""
    for folder in systems.iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(line: str, words: str, capsys) -> None:
    """The command ends with code 2 and one line that holds the words; it writes nothing."""
    assert main([*line.split(), "--out", "out"]) == 2
    shown = capsys.readouterr()
    said = shown.err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("flowllm: "), said
    assert words in said[0] and len(said[0]) < 400
    assert not Path("out").exists() and not shown.out


ASKED = {
    "flowmm-csp --num 2": "structure prediction: it needs a composition",
    "flowmm-csp --num-atoms 3": "structure prediction: it needs a composition",
    "flowmm-dng --formula NaCl": "trained to draw species: a composition cannot be requested",
    "flowmm-dng --targets mp_20": "trained to draw species: a composition cannot be requested",
    "flowmm-both --elements Li,O": "flowmm-base does not support the condition elements",
    "flowmm-both --space-group 225": "flowmm-base does not support the condition space_group",
    "flowmm-both --num-atoms 21": "number of atoms 21",
    "flowmm-both --steps 0": "steps must be a whole number above 0",
    "diffcsp-csp --num 2": "structure prediction: it needs a composition",
    "diffcsp-dng --formula NaCl": "trained to draw species: a composition cannot be requested",
    "diffcsp-dng --targets mp_20": "trained to draw species: a composition cannot be requested",
    "diffcsp-both --elements Li,O": "diffcsp-base does not support the condition elements",
    "diffcsp-both --band-gap 1": "diffcsp-base does not support the condition band_gap",
    "diffcsp-both --steps 1001": "steps must be from 1 to 1000",
    "diffcsp-both --csp-gamma -1": "csp_gamma must be from 0",
    "cdvae --formula NaCl": "cdvae does not support the condition composition",
    "cdvae --elements Li,O": "cdvae does not support the condition elements",
    "cdvae --targets mp_20": "cdvae does not support the condition composition",
    "cdvae --num-atoms 25": "number of atoms 25",
    "cdvae --steps-per-level 0": "steps_per_level must be from 1",
}


@pytest.mark.parametrize("asked", ASKED)
def test_what_a_system_cannot_be_asked_is_refused_before_any_work(asked, here, capsys):
    refused(f"generate --device cpu --model {asked}", ASKED[asked], capsys)


COMBINED = {
    f"--lm {LM} --flow diffcsp-csp/refiner --refiner diffcsp --start 1": "start must be in [0, 1)",
    f"--lm {LM} --flow diffcsp-csp/refiner --refiner diffcsp --start -1": "start must be in [0, 1)",
    f"--lm {LM} --flow diffcsp-csp/refiner --refiner diffcsp --start nan": "start must be in",
    f"--lm {LM} --flow diffcsp-dng/refiner --refiner diffcsp": "trained to draw species",
    f"--lm {LM} --flow diffcsp-csp/refiner --refiner magic": "unknown refiner 'magic'",
    f"--lm {LM} --flow flowmm-csp/refiner --refiner diffcsp": "describe a network of DiffCSP",
    f"--lm {LM} --flow diffcsp-csp/refiner --refiner flowmm": "describe a network of FlowMM",
    f"--lm {LM} --flow cdvae/refiner --refiner diffcsp": "contains no network of DiffCSP",
    f"--lm {LM} --flow diffcsp-csp/refiner": "diffcsp-csp/refiner",
    "--lm flowmm-both/prior --prior diffcsp-base --flow diffcsp-both/refiner --refiner diffcsp":
        "holds a prior 'flowmm-base', not 'diffcsp-base'",
    "--lm cdvae/prior --prior flowmm-base --flow flowmm-both/refiner --refiner flowmm":
        "cdvae/prior",
    "--lm flowmm-both/prior --prior cdvae --flow cdvae/refiner --refiner cdvae":
        "flowmm-both/prior",
}  # fmt: skip


@pytest.mark.parametrize("parts", COMBINED)
def test_parts_that_do_not_go_together_are_not_combined(parts, here, capsys):
    refused(f"combine --share {parts}", COMBINED[parts], capsys)


def damaged(here: Path, model: str, **changes) -> Path:
    """A copy of a system with other values in system.json."""
    folder = shutil.copytree(here / model, here / "bad")
    content = json.loads((folder / "system.json").read_text())
    (folder / "system.json").write_text(json.dumps(content | changes))
    return folder


@pytest.mark.parametrize("start", [1.0, -0.5, float("nan"), 1e9, "half", None])
def test_a_start_that_is_no_time_is_named_with_its_file(start, here, capsys):
    damaged(here, "diffcsp-both", start=start)
    refused("generate --device cpu --model bad", "system.json: start ", capsys)


@pytest.mark.parametrize(
    ("model", "role", "kind", "words"),
    [
        ("diffcsp-both", "refiner", "flowmm", "refiner/csp: config.json does not describe"),
        ("flowmm-both", "refiner", "diffcsp", "refiner/csp: config.json does not describe"),
        ("cdvae", "refiner", "flowmm", "bad/refiner contains no network of FlowMM"),
        ("flowmm-both", "refiner", "cdvae", "bad/refiner contains no config.json"),
        ("flowmm-both", "prior", "cdvae", "bad/prior contains no config.json"),
        ("cdvae", "prior", "flowmm-base", "bad/prior/base.json"),
        ("diffcsp-both", "prior", "types", "bad/prior/base.json"),
    ],
)
def test_weights_of_another_kind_are_named(model, role, kind, words, here, capsys):
    parts = json.loads((here / model / "system.json").read_text())["parts"]
    parts[role]["kind"] = kind
    damaged(here, model, parts=parts)
    refused("generate --device cpu --model bad", words, capsys)


@pytest.mark.parametrize("model", ["flowmm-both", "diffcsp-both"])
def test_the_network_of_the_other_task_is_named(model, here, capsys):
    folder = damaged(here, model)
    shutil.rmtree(folder / "refiner" / "dng")
    (folder / "refiner" / "csp").rename(folder / "refiner" / "dng")
    refused("generate --device cpu --model bad", "the other task, not for dng", capsys)


@pytest.mark.parametrize(
    ("model", "file", "other"),
    [
        ("flowmm-both", "refiner/csp", "diffcsp-both/refiner/csp"),
        ("diffcsp-both", "refiner/dng", "flowmm-both/refiner/dng"),
        ("cdvae", "prior", "cdvae/refiner"),
        ("cdvae", "refiner", "flowmm-both/refiner/csp"),
    ],
)
def test_weights_that_the_sizes_do_not_fit_are_named(model, file, other, here, capsys):
    folder = damaged(here, model)
    shutil.copy(here / other / "model.safetensors", folder / file / "model.safetensors")
    refused("generate --device cpu --model bad", f"bad/{file}", capsys)


def test_one_network_is_enough_for_its_task(systems):
    for name in ("flowmm", "diffcsp"):
        one = FlowLLM.from_pretrained(systems / f"{name}-csp", "cpu")
        assert one.generate(1, formula="NaCl").refined.formulas == ["NaCl"]
        other = FlowLLM.from_pretrained(systems / f"{name}-dng", "cpu")
        assert len(other.generate(1, num_atoms=2).refined) == 1


def test_a_prior_that_gives_all_species_needs_a_network_for_given_ones(systems):
    prior = FlowLLM.from_pretrained("crystalllm", "cpu").prior
    drawing = FlowLLM.from_pretrained(systems / "diffcsp-dng", "cpu").refiner
    with pytest.raises(InputError, match="DiffCSP was trained to draw species"):
        FlowLLM(prior, drawing, HISTOGRAM)
