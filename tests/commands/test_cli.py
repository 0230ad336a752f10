"""The command line: exit codes, messages that name the culprit, nothing half-written."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from flowllm.cli import main, message_of
from flowllm.commands import COMMANDS
from flowllm.commands.examples import EXAMPLES
from flowllm.errors import InputError

PREPARE = importlib.import_module("flowllm.data.prepare")  # the package has a function of that name
PRINTING = {"app", "bench"}
"""Commands that write no files."""
WITHOUT_DEVICE = {"data", "combine", "evaluate", "export", "hull", "merge-lm", "reference"}
"""Commands that write files and run no network on a device of choice."""


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )


def flowllm(*arguments: str, **options) -> subprocess.CompletedProcess:
    """The command as a person runs it, in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "flowllm", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment, **options)


# ---- help ----------------------------------------------------------------------------------------


def test_help_lists_every_command_and_loads_nothing_heavy():
    code = (
        "import sys; from flowllm.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'torch', 'transformers', 'pymatgen', 'pandas', 'numpy', 'jinja2'}\n"
        "print(code, sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("0 []")
    for name in COMMANDS:
        assert f" {name} " in done.stdout


def test_without_a_command_the_help_is_shown(capsys):
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    assert "generate" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flowllm {importlib.metadata.version('flowllm')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_explained(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help-all"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    command = COMMANDS[name].flat()
    documented = command.__doc__.split("Args:")[1]
    for parameter in inspect.signature(command).parameters.values():
        assert f"        {parameter.name}: " in documented, parameter.name
        if parameter.kind is not parameter.POSITIONAL_ONLY:
            name = "for" if parameter.name == "use" else parameter.name  # a keyword of Python
            word = "no-" + name if parameter.default is True else name
            assert f"--{word.replace('_', '-')}" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_on_a_page_and_ends_with_two_examples(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 75 and max(map(len, lines)) <= 100
    words = set(re.findall(r"--[a-z0-9-]+", "\n".join(lines)))
    parameters = inspect.signature(COMMANDS[name].flat()).parameters.values()
    named = {one.name: one for one in parameters if one.kind is not one.POSITIONAL_ONLY}
    for option in ("for" if name == "use" else name for name in named):
        assert {f"--{option.replace('_', '-')}", f"--no-{option.replace('_', '-')}"} & words
    assert lines[-3] == "examples:"
    assert lines[-2:] == [f"  {example}" for example in EXAMPLES[name]]


@pytest.mark.parametrize("example", [example for pair in EXAMPLES.values() for example in pair])
def test_every_example_is_a_call_of_its_command(example, monkeypatch):
    program, name, *words = shlex.split(example)
    command, called = COMMANDS[name], []

    @functools.wraps(command.function)
    def stand_in(*arguments, **options):
        called.append((arguments, options))

    monkeypatch.setitem(COMMANDS, name, replace(command, function=stand_in))
    assert program == "flowllm" and name in EXAMPLES and main([name, *words]) == 0
    assert len(called) == 1


def test_help_groups_what_belongs_together(capsys):
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    groups = re.split(r"\n\n(?=[a-z() A-Z]+:\n)", capsys.readouterr().out)
    found = {part.partition(":\n")[0]: part for part in groups}
    assert "--formula" in found["conditions"] and "--seed" in found["run"]
    assert "--temperature" in found["sampling"] and "--record" in found["refinement"]
    with pytest.raises(SystemExit):
        main(["train", "flowmm", "--help"])
    shown = capsys.readouterr().out
    assert "flowllm train flowmm --help-all" in shown
    assert shown.index("training of the refiner:") < shown.index("--refiner-epochs")
    assert "resumes where it stopped. The options depend on" in " ".join(shown.split())


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - PRINTING))
def test_every_command_that_fills_a_folder_can_replace_a_run(name):
    parameters = inspect.signature(COMMANDS[name].flat()).parameters
    assert {"out", "overwrite"} <= set(parameters)
    if name not in WITHOUT_DEVICE:
        assert "device" in parameters


@pytest.mark.parametrize("name", sorted(PRINTING))
def test_a_command_that_only_prints_takes_no_folder(name):
    assert not {"out", "overwrite"} & set(inspect.signature(COMMANDS[name].flat()).parameters)


# ---- commands that succeed -----------------------------------------------------------------------


def test_generate_and_refine_what_came_out(system_folder, tmp_path, no_page, capsys):
    out, again = tmp_path / "a", tmp_path / "b"
    options = ["--model", str(system_folder), "--steps", "1", "--device", "cpu"]
    code = main(
        ["generate", "--formula", "SrTiO3", "--num", "3", "--out", str(out), "--seed", "1",
         "--temperature", "0.9", "--top-p", "0.8", "--noise", "0.01", "--solver", "rk4",
         "--anti-annealing", "1", "--symprec", "0.1", "--record", *options]
    )  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0, shown.err
    files = sorted((out / "crystals").iterdir())
    assert len(files) == 3
    for words in ("language model", "Riemannian flow", "report.html"):
        assert words in shown.out
    settings = json.loads((out / "run.json").read_text())["settings"]
    expected = {
        "temperature": 0.9, "top_p": 0.8, "noise": 0.01, "solver": "rk4", "anti_annealing": 1.0,
        "record": True, "symprec": 0.1, "seed": 1, "formula": "SrTiO3", "num": 3, "steps": 1,
    }  # fmt: skip
    assert {name: settings[name] for name in expected} == expected
    (tmp_path / "bad.cif").write_text("no cif")
    files.append(tmp_path / "bad.cif")
    assert main(["refine", *map(str, files), "--out", str(again), *options]) == 0
    shown = capsys.readouterr()
    assert "primitive Niggli cell" in shown.out
    assert "bad.cif" in shown.err and "cannot be parsed" in shown.err
    assert {path.name for path in out.iterdir()} == {path.name for path in again.iterdir()}


def test_a_prompt_file_gives_one_crystal_for_each_line(system_folder, tmp_path, no_page):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("The chemical formula is NaCl.\n\nThe unit cell contains Si2.\n")
    arguments = ["--prompt-file", str(prompts), "--out", str(tmp_path / "out"), "--steps", "1"]
    assert main(["generate", *arguments, "--model", str(system_folder)]) == 0
    table = (tmp_path / "out" / "crystals.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in table] == ["formula", "NaCl", "Si"]


def test_from_crystals_to_a_system_by_the_commands_alone(
    sample_crystals, tmp_path, no_page, capsys, monkeypatch
):
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("cifs").mkdir()
    small = sample_crystals[sample_crystals.num_atoms <= 6][:8]
    for name, text in zip(small.ids, small.to_cif(), strict=True):
        Path("cifs", f"{name}.cif").write_text(text)
    commands = """
        data cifs --out data --workers 1
        train-lm --data data --out lm --epochs 1 --batch-size 4 --hidden 16 --layers 1 --heads 2
            --feed-forward 24 --threads 1 --device cpu
        pair --lm lm --data data --out pairs --num-pairs 6 --samples-per-target 1 --device cpu
        train-flow --pairs pairs --out flow --epochs 1 --batch-size 4 --hidden 16 --layers 1
            --device cpu
        combine --lm lm --flow flow --data data --out system
        generate --num 2 --model system --out crystals --steps 1 --device cpu
    """
    for line in commands.strip().replace("\n            ", " ").splitlines():
        assert main(line.split()) == 0, (line, capsys.readouterr().err)
    shown = capsys.readouterr().out
    for words in (
        "train: 8 crystals",
        "0 rows failed",
        "rejected.csv",
        "perplexity",
        "aligned",
        "flow/model",
    ):
        assert words in shown, words
    assert len(list(Path("crystals", "crystals").iterdir())) == 2


def test_a_model_is_measured_by_generate_and_evaluate(
    system_folder, prepared, tmp_path, no_page, capsys
):
    model = ["--model", str(system_folder), "--steps", "1", "--device", "cpu"]
    run = str(tmp_path / "run")
    assert main(["generate", "--targets", str(prepared), "--num", "2", "--out", run, *model]) == 0
    for source in (run, f"{run}/prior"):
        out = str(tmp_path / f"of-{len(source)}")
        assert main(["evaluate", source, "--only", "validity", "--out", out]) == 0
        assert "valid structure" in capsys.readouterr().out


def test_the_bench_prints_its_table(system_folder, capsys):
    model = ["--model", str(system_folder), "--steps", "1", "--device", "cpu"]
    assert main(["bench", "--num", "2", "--threads", "1", *model]) == 0
    assert "tokens/s" in capsys.readouterr().out


# ---- bad input -----------------------------------------------------------------------------------

BAD = {
    "generate --temperature 0": "temperature",
    "generate --temperature -1": "temperature",
    "generate --temperature nan": "temperature",
    "generate --top-p 0": "top-p",
    "generate --top-p 1.5": "top-p",
    "generate --noise -1": "noise",
    "generate --num 0": "at least 1, not 0",
    "generate --steps 0": "steps",
    "generate --seed -3": "seed",
    "generate --num-atoms 21": "21",
    "generate --elements Li,Xx": "'Xx'",
    "generate --formula Qq2O": "Qq",
    "generate --formula Li7La3Zr2O12": "24 atoms",
    "generate --formula SrTiO3 --elements Li,O": "formula SrTiO3",
    "generate --composition NaK --formula NaCl": "K1 Na1 is not a multiple of formula NaCl",
    "generate --space-group 229 --composition Na2": "space group 229",
    "generate --space-group 231": "231",
    "generate --band-gap nan": "nan",
    "adherence --kinds formula,colour --data good": "unknown condition 'colour'",
    "adherence --num 0": "at least 1",
    "adherence --data nowhere": "nowhere",
    "generate --anti-annealing -1": "anti_annealing",
    "generate --symprec 2": "symprec",
    "generate --prompt-file nowhere.txt": "nowhere.txt",
    "generate --prompt-file empty.txt": "empty.txt",
    "generate --model nowhere": "nowhere is not a model",
    "generate --model foreign": "foreign",
    "refine nowhere.cif": "nowhere.cif",
    "refine bad.cif": "bad.cif",
    "data nowhere": "nowhere",
    "data empty": "empty",
    "data empty.csv": "empty.csv",
    "data nocif.csv": "no column cif",
    "data bad.csv": "bad.csv",
    "data good --limit 0": "limit",
    "data good --max-atoms 0": "max_atoms",
    "train-lm --data nowhere": "nowhere",
    "train-lm --epochs 0": "epochs",
    "train-lm --heads 5 --hidden 16": "heads",
    "pair --lm nowhere": "nowhere",
    "pair --lm SYSTEM/prior --num-pairs 0": "num_pairs",
    "pair --lm SYSTEM/prior --workers 0": "workers must be at least 1, not 0",
    "train-flow --pairs nowhere": "nowhere",
    "train-flow --pairs nowhere --learning-rate 0": "learning_rate",
    "combine --lm nowhere --flow nowhere": "nowhere",
    "generate --targets nowhere": "nowhere",
    "evaluate good --hull nowhere": "no hull nowhere",
    "evaluate good --only ,": "no stage is given",
    "evaluate good --only novelty,nowhere": "unknown stage 'nowhere'",
    "evaluate good --workers 0": "workers must be at least 1",
    "evaluate good --seed -1": "seed",
    "adherence --workers 0": "workers must be at least 1",
    "adherence --model nowhere --data good": "nowhere is not a model",
    "reference --data good --workers -1": "workers must be at least 1",
    "data good --workers 0": "workers must be at least 1",
    "train flowllm good --workers 0": "workers must be at least 1",
    "score good --model nowhere": "nowhere is not a model",
    "score good --ipt 2 --seed -1": "the seed must be at least 0",
    "score good --seed 1208925819614629174706176": "the seed must be at most",
    "generate --temperature 1e-308": "temperature must be at least 1e-06",
    "generate --noise 1e300": "noise must be at most",
    "generate --steps 1000000000000": "steps must be at most",
    "generate --num 1000000000000000": "must be at most",
    "generate --seed 1208925819614629174706176": "the seed must be at most",
    "train-lm --data good --seed 1208925819614629174706176": "the seed must be at most 4294967295",
    "train-lm --data good --threads -1": "threads must be from 0",
    "train-lm --data good --threads 1000000": "threads must be from 0",
    "train-flow --pairs good --seed 4294967296": "the seed must be at most 4294967295",
    "pair --lm good --seed -1": "the seed must be at least 0",
    "generate --targets good --num-atoms 2": "leave out other conditions",
    "generate --band-gap 1e308": "within ±1,000,000",
    "generate --formation-energy -1e7": "within ±1,000,000",
    "generate --model=": "--model is given without a value",
    "score good --ipt 100000000000": "--ipt must be at most 10,000",
    "export good --vasp --ids ,": "--ids lists no crystal",
}


@pytest.fixture
def bad_files(tmp_path, monkeypatch, system_folder):
    """A folder to work in that holds all sorts of unusable things."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLOWLLM_DATA_DIR", raising=False)
    monkeypatch.setenv("FLOWLLM_CACHE_DIR", str(tmp_path / "cache"))
    Path("empty").mkdir()
    Path("good").mkdir()
    Path("good", "a.cif").write_text("data_a")
    for name, text in {
        "empty.txt": "\n",
        "empty.csv": "",
        "nocif.csv": "id,formula\n1,NaCl\n",
        "bad.csv": "id,cif\n1,no cif\n",
        "bad.cif": "no cif",
    }.items():
        Path(name).write_text(text)
    shutil.copytree(system_folder, "foreign")
    Path("foreign", "refiner", "config.json").write_text('{"model_type": "llama"}')
    return tmp_path


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_named_and_nothing_is_written(line, bad_files, system_folder, capsys):
    words = line.replace("SYSTEM", str(system_folder)).split()
    if words[0] in ("generate", "refine", "adherence") and "--model" not in words:
        words += ["--model", str(system_folder)]
    if words[0] in ("pair", "combine") and "--data" not in words:
        words += ["--data", "good"]
    before = sorted(bad_files.rglob("*"))
    assert main([*words, "--out", "out"]) == 2
    shown = capsys.readouterr()
    said = shown.err.strip().splitlines()
    assert said[-1].startswith("flowllm: ") and BAD[line] in said[-1]
    assert len(said[-1]) < 400 and shown.out == ""
    if line != "data bad.csv":  # that it is bad shows when it is prepared, with a bar
        assert len(said) == 1
    assert sorted(bad_files.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ["generate"],
        ["generate", "--out", "x", "--num", "many"],
        ["generate", "--out", "x", "--model", "mp20-compact", "--solver", "heun"],
        ["nonsense"],
        ["refine", "--out", "x", "--device", "tpu", "a.cif"],
    ],
)
def test_arguments_that_do_not_parse_end_with_code_2(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_named(system_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = ["generate", "--device", "cuda", "--out", str(tmp_path / "out")]
    assert main([*words, "--model", str(system_folder)]) == 2
    assert "no cuda" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_process_itself_ends_with_code_2_and_one_line(tmp_path):
    done = flowllm("generate", "--temperature", "0", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("flowllm: temperature") and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


# ---- what ends a command otherwise ---------------------------------------------------------------

INTERRUPTED = """
import os, signal, sys
from flowllm.cli import main
from flowllm.runs.parts import Parts

signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may ignore it
write = Parts.write
def interrupt(self, wanted, part):
    write(self, wanted, part)
    os.kill(os.getpid(), signal.SIGINT)
Parts.write = interrupt
sys.stderr = open(errors, "w")
code = main(arguments)
sys.stderr.close()
sys.exit(code)
"""


def test_control_c_keeps_finished_parts_and_the_same_command_goes_on(
    system_folder, tmp_path, in_process, no_page
):
    out, errors = tmp_path / "out", tmp_path / "errors"
    arguments = ["generate", "--num", "2", "--steps", "1", "--elements", "Si", "--device", "cpu"]
    arguments += ["--model", str(system_folder), "--out", str(out)]
    assert in_process(INTERRUPTED, arguments=arguments, errors=errors) == 130
    said = errors.read_text()
    assert "interrupted" in said and "Traceback" not in said
    part = out / "parts" / "000000.npz"
    before = part.stat().st_mtime_ns
    assert not (out / "report.html").exists()
    assert main(arguments) == 0
    assert part.stat().st_mtime_ns == before and (out / "report.html").is_file()


def test_a_reader_that_has_seen_enough_is_no_error():
    line = f"{sys.executable} -m flowllm generate --help | head -1; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    first, code = result.stdout.splitlines()
    assert first.startswith("usage") and code in ("0", "141") and not result.stderr


def test_a_reader_that_reads_nothing_is_no_error():
    line = f"{sys.executable} -m flowllm score --help | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["141"] and not result.stderr


def test_the_bench_relaxes_no_negative_number(tmp_path, capsys):
    assert main(["bench", "--evaluation", str(tmp_path), "--relax-num", "-3"]) == 2
    assert capsys.readouterr().err == "flowllm: --relax-num must be at least 0, not -3\n"


def test_control_c_is_code_130(monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(PREPARE, "prepare_folder", interrupt)
    assert main(["data", "mp_20"]) == 130
    assert "finished parts are kept" in capsys.readouterr().err


def test_mistakes_of_our_own_keep_their_traceback(monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PREPARE, "prepare_folder", broken)
    with pytest.raises(ZeroDivisionError):
        main(["data", "mp_20"])


def test_messages_of_other_libraries_on_a_full_disk_are_understood():
    text = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert message_of(RuntimeError(text)).endswith("the disk is full")
    assert message_of(RuntimeError("[enforce fail] . unexpected pos 64 vs 0")).endswith("full")
    assert message_of(InputError("in words")) == "in words"
    assert message_of(PermissionError(13, "Permission denied", "x")) == "x: Permission denied"
    assert message_of(OSError("without a number")) is None
    assert message_of(KeyError("x")) is None


def test_warnings_of_our_own_are_one_line_and_others_are_silent(capsys):
    from flowllm.cli import quiet_libraries
    from flowllm.text.prompts import OPENING, REQUEST
    from flowllm.text.tokenizer import warn_about_foreign_text

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        quiet_libraries()
        warnings.showwarning("of another", UserWarning, "/usr/lib/other.py", 1)
        warnings.showwarning(
            "of ours", UserWarning, warn_about_foreign_text.__code__.co_filename, 1
        )
    assert capsys.readouterr().err == "flowllm: note: of ours\n"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about_foreign_text(OPENING + "The band gap is 1.00. " + REQUEST)
        assert not caught
        warn_about_foreign_text("Make me something shiny")
        assert len(caught) == 1
