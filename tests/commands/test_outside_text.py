"""Ids, names of files and folders from outside, on their way through the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flowllm.cli import main

CIF = """data_x
_symmetry_space_group_name_H-M 'P 1'
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na Na 0 0 0
Cl Cl 0.5 0.5 0.5
"""
IDS = ["[/x]", "[red]x", "=1+1", "\x1b[31mred"]


@pytest.fixture
def crystals(tmp_path):
    """A table of crystals whose ids are no plain names."""
    import pandas as pd

    file = tmp_path / "[bold]crystals.csv"
    pd.DataFrame({"id": IDS, "cif": [CIF] * len(IDS)}).to_csv(file, index=False)
    return file


def test_ids_with_markup_are_scored_shown_and_come_back(crystals, system_folder, tmp_path, capsys):
    import pandas as pd

    out = tmp_path / "[/deep]" / "scores.csv"
    words = ["score", str(crystals), "--out", str(out), "--model", str(system_folder)]
    assert main([*words, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "[/x]" in said and "[red]x" in said and "\x1b[31mred" not in said
    assert r"\x1b[31mred" in said
    written = pd.read_csv(out, dtype=str)["id"].tolist()
    assert sorted(written) == sorted(["[/x]", "[red]x", "'=1+1", "\x1b[31mred"])


@pytest.mark.parametrize("name", ["[red]", "[/x]", "a\x1b[31m", "\udcff\udcfe"])
def test_an_output_of_any_name_is_printed_as_it_is(
    crystals, system_folder, tmp_path, capsys, monkeypatch, name
):
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )
    out = tmp_path / name
    words = ["--num-atoms", "2", "--steps", "1", "--model", str(system_folder), "--device", "cpu"]
    code = main(["generate", "--out", str(out), "--num", "1", "--elements", "Na,Cl", *words])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert ascii(name)[1:-1] in said.out and (out / "crystals.csv").is_file()


def test_a_message_is_one_line_and_not_as_long_as_its_input(capsys):
    for words in (["x" * 10**6], ["[/x]\n\x1b[31m\x07"]):
        assert main(["score", *words]) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and len(said) < 3000
        assert said[:-1].isprintable()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_of_the_output_will_do(tmp_path, encoding):
    missing = os.fsencode(tmp_path) + "/Å日\x1b".encode() + b"\xff.csv"
    done = subprocess.run(
        [sys.executable, "-m", "flowllm", "export", missing, "--out", tmp_path / "out", "--vasp"],
        capture_output=True, check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    said = done.stderr.decode(encoding)
    assert len(said.splitlines()) == 1 and "udcff" in said and "\x1b" not in said


def test_a_machine_without_memory_gives_one_line(monkeypatch, capsys):
    def exhausted(words):
        raise MemoryError

    monkeypatch.setattr("flowllm.cli.commands_for", exhausted)
    assert main(["generate"]) == 2
    assert "too little memory" in capsys.readouterr().err


def test_an_empty_word_is_neither_a_folder_nor_everything(crystals, capsys, monkeypatch):
    """As "$OUT" is where OUT is not set."""
    monkeypatch.chdir(crystals.parent)
    for words in (
        ["score", ""],
        ["refine", str(crystals), "--out", ""],
        ["export", str(crystals), "--vasp", "--out", "e", "--ids", ""],
    ):
        assert main(words) == 2
        assert "an empty argument" in capsys.readouterr().err
    assert os.listdir() == [crystals.name]


def test_a_table_never_takes_the_place_of_what_is_read(crystals, system_folder, capsys):
    before = crystals.read_bytes()
    link = crystals.with_name("link.csv")
    link.symlink_to(crystals)
    for out in (crystals, link):
        words = ["score", str(crystals), "--out", str(out), "--overwrite"]
        assert main([*words, "--model", str(system_folder)]) == 2
        assert "is the input" in capsys.readouterr().err
    assert main(["score", str(crystals), "--out", str(crystals.parent), "--overwrite"]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert crystals.read_bytes() == before
