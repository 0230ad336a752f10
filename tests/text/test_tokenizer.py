"""The compact tokenizer: to the letter on crystals, and on anything else."""

import hashlib
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError
from flowllm.text import build_prompt, build_tokenizer, load_tokenizer, to_text
from flowllm.text.formats.gruver.words import crystal_words
from flowllm.text.tokenizer import warn_about_foreign_text

ATOM = re.compile(r"^  ([A-Z][a-z]?)  \S+  1  (\S+)  (\S+)  (\S+)  1$", re.M)
CELL = re.compile(r"^_cell_(?:length|angle)_\w+ +(\S+)$", re.M)
COMPACT = build_tokenizer()
DIGEST = "4d5c796796c15b4d7cba85979f77e981ebbe182e4f1b5ca13cc87fadae610edc"


def read_plain(cifs: pd.Series) -> CrystalBatch:
    """The cells of MP-20's CIF texts as they stand there, by regular expression."""
    cells, atoms = [CELL.findall(cif) for cif in cifs], [ATOM.findall(cif) for cif in cifs]
    table = np.array(cells, dtype=float)
    rows = [atom for crystal in atoms for atom in crystal]
    return CrystalBatch(
        np.array([NUMBER_OF[row[0]] for row in rows]),
        np.array([row[1:] for row in rows], dtype=float),
        table[:, :3],
        table[:, 3:],
        np.array([len(crystal) for crystal in atoms]),
        np.arange(len(cifs)).astype(str),
    )


def test_round_trip_to_the_letter_on_all_of_mp20(data_dir):
    seen = 0
    for split in ("train", "val", "test"):
        cifs = pd.read_csv(data_dir / "mp_20" / f"{split}.csv.gz", usecols=["cif"])["cif"]
        texts = to_text(read_plain(cifs))
        ids = COMPACT(texts, add_special_tokens=False)["input_ids"]
        assert COMPACT.batch_decode(ids) == texts
        seen += len(texts)
    assert seen == 44_109


def test_a_crystal_takes_four_tokens_an_atom(reduced):
    texts = to_text(reduced)
    lengths = [len(ids) for ids in COMPACT(texts)["input_ids"]]
    assert lengths == (9 + 4 * reduced.num_atoms).tolist()


def test_a_prompt_sentence_is_one_token():
    assert len(COMPACT(build_prompt())["input_ids"]) == 2
    # opening, stem, " 12", ". ", request
    assert len(COMPACT(build_prompt(Conditions(num_atoms=12)))["input_ids"]) == 5


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_round_trips(text):
    assert COMPACT.decode(COMPACT(text)["input_ids"]) == text


pieces = st.sampled_from(
    [*crystal_words(20), "Ġ", "é", "\n\n", "  ", "0.", ".", "1", "</s", "C", "Ca"]
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_any_mixture_of_words_round_trips(text):
    assert COMPACT.decode(COMPACT(text)["input_ids"]) == text


def test_carbon_is_not_calcium():
    for symbol in ("C", "Ca", "H", "Ho", "N", "Na"):
        ids = COMPACT(f"\n{symbol}\n")["input_ids"]
        assert COMPACT.convert_ids_to_tokens(ids)[0] == f"\n{symbol}"


def test_the_vocabulary_is_the_one_that_saved_weights_know():
    vocabulary = COMPACT.get_vocab()
    ordered = "\0".join(sorted(vocabulary, key=vocabulary.__getitem__))
    digest = hashlib.sha256(ordered.encode()).hexdigest()
    assert (len(vocabulary), digest) == (1210, DIGEST)
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert (COMPACT.pad_token_id, COMPACT.eos_token_id) == (0, 1)


def test_saved_and_loaded_it_is_the_same(tmp_path, reduced):
    COMPACT.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.get_vocab() == COMPACT.get_vocab()
    texts = [build_prompt(Conditions(formula="SrTiO3")) + to_text(reduced)[0], "Grüße, 12 Å\n"]
    assert loaded(texts)["input_ids"] == COMPACT(texts)["input_ids"]
    assert (loaded.padding_side, loaded.eos_token, loaded.pad_token) == ("left", "</s>", "<pad>")


def test_a_folder_without_a_sound_tokenizer_is_named(tmp_path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path} contains no tokenizer.json")):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "model"')
    with pytest.raises(InputError, match=r"tokenizer\.json is damaged"):
        load_tokenizer(tmp_path)


def test_foreign_sentences_are_warned_about():
    with pytest.warns(UserWarning, match=r"The band gap is….*It should glow"):
        warn_about_foreign_text(build_prompt().replace("Generate", "It should glow. Generate"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about_foreign_text(build_prompt(Conditions(formula="SrTiO3", band_gap=3.0)))


def test_strings_and_requests_need_neither_torch_nor_transformers(script_environment):
    script = (
        "import sys, flowllm.text, flowllm.methods.language_model\n"
        "from flowllm.conditions.request import Request\n"
        "from flowllm.text import to_text\n"
        "from flowllm.methods.language_model import SamplingSettings\n"
        "Request(elements=('Li', 'O')); SamplingSettings()\n"
        "print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=script_environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr
