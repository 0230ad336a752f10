"""A language model on disk: not read before a text is needed, and looked at all the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.methods.language_model.stored import StoredPrior, load_stored
from flowllm.methods.language_model.within import language_model_in
from flowllm.systems.record import find_model
from flowllm.systems.system import FlowLLM
from flowllm.workflows.generate import generate_run
from flowllm.workflows.settings import GenerateSettings

SHIPPED = find_model("mp20-symmetric") / "prior" / "lm"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped model that may be damaged."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "lm"))


def test_it_is_the_prior_that_is_read_at_once() -> None:
    stored, loaded = load_stored(SHIPPED), LanguageModelPrior.load(SHIPPED)
    assert isinstance(stored, StoredPrior)
    assert stored.digest() == loaded.digest()
    assert stored.limited_to(["O"]).digest() == loaded.digest()
    assert "model" not in vars(stored)
    asked = [Conditions(formula="SrTiO3"), Conditions()]
    settings = SamplingSettings(batch_size=2)
    ours, theirs = (prior.sample(asked, settings, [3, 4]) for prior in (stored, loaded))
    assert ours.ids.tolist() == theirs.ids.tolist() == ["0", "1"]
    np.testing.assert_array_equal(ours.frac_coords, theirs.frac_coords)
    np.testing.assert_array_equal(ours.atomic_numbers, theirs.atomic_numbers)
    assert "model" in vars(stored)
    assert stored.digest() == loaded.digest()


def test_it_saves_what_it_was_read_from(tmp_path: Path) -> None:
    stored = load_stored(SHIPPED)
    stored.save(tmp_path)
    assert load_stored(tmp_path).digest() == stored.digest()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{folder}.* contains no {name}"):
        load_stored(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_file_cut_short_is_named_at_once(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=str(folder)) as caught:
        load_stored(folder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("weight", "factor", "words"),
    [
        ("model.norm.weight", float("nan"), "model.norm.weight holds a value that is not finite"),
        ("model.norm.weight", None, r"model\.safetensors lacks 1 weights"),
    ],
)
def test_damaged_weights_are_named_at_once(
    folder: Path, weight: str, factor: float | None, words: str
) -> None:
    weights = load_file(folder / "model.safetensors")
    if factor is None:
        del weights[weight]
    else:
        weights[weight] = weights[weight].float() * factor
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=words):
        load_stored(folder)


def test_probabilities_that_are_no_numbers_are_named_at_once(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: torch.ones_like(value.float()) for name, value in weights.items()}
    weights["model.norm.weight"] *= 1e38
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="probabilities are not finite numbers"):
        load_stored(folder)


def test_a_tokenizer_of_another_size_is_named_at_once(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"].pop()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"the model has 1555 tokens, its tokenizer 1554"):
        load_stored(folder)


def test_weights_that_change_before_they_are_read_are_refused(folder: Path) -> None:
    stored = load_stored(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model\.safetensors has changed"):
        stored.sample([Conditions()], SamplingSettings(), [0])


def test_generating_without_a_text_reads_no_language_model(
    tmp_path: Path, script_environment: dict[str, str]
) -> None:
    """What takes seconds to import and is not needed stays out of the default command."""
    code = (
        "import sys\n"
        "from flowllm.cli import main\n"
        f"words = ['generate', '--num', '2', '--device', 'cpu', '--out', r'{tmp_path / 'run'}']\n"
        "code = main(words)\n"
        "heavy = {'transformers', 'accelerate', 'peft', 'sympy', 'torch._dynamo'}\n"
        "print(code, sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=script_environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
    assert shown_texts(tmp_path / "run") == []


def test_texts_that_are_asked_for_stand_on_the_page(tmp_path: Path) -> None:
    system = FlowLLM.from_pretrained(device="cpu")
    settings = GenerateSettings(num=3, seed=4)
    generate_run(system, settings, tmp_path / "without")
    assert not language_model_in(system.prior).in_memory
    assert shown_texts(tmp_path / "without") == []
    generate_run(system, settings, tmp_path / "asked", texts=True)
    assert language_model_in(system.prior).in_memory
    texts = shown_texts(tmp_path / "asked")
    assert len(texts) == 3
    for text in texts:
        assert "The space group number is" in "".join(piece for piece, _ in text)
        assert all(share is None or 0 <= share <= 1 for _, share in text)
    for name in ("crystals.csv", "trajectories.npz"):  # the page alone is another
        paths = [tmp_path / run / name for run in ("without", "asked")]
        assert paths[0].read_bytes() == paths[1].read_bytes()


def shown_texts(run: Path) -> list[list[tuple[str, float | None]]]:
    """The texts of crystals in the page of a run."""
    page = (run / "report.html").read_text("utf-8")
    data = re.search(r'id="crystal-data">(.*?)</script>', page, re.DOTALL)[1]
    return [one["text"] for one in json.loads(data)["shown"].values() if "text" in one]
