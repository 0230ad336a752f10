"""A script that starts processes without a guard says so at once, instead of waiting forever."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

CALL = "print(map_crystals(abs, [-1, -2, -3], workers=2))"
IMPORT = "from flowllm.parallel.map import map_crystals\n"
SCRIPTS = {
    "guarded": f'{IMPORT}if __name__ == "__main__":\n    {CALL}\n',
    "guarded by a function": (
        f"{IMPORT}def main():\n    {CALL}\n\ntry:\n    if __name__ == '__main__':\n"
        "        main()\nfinally:\n    pass\n"
    ),
    "one worker": IMPORT + CALL.replace("workers=2", "workers=1"),
    "from a thread": (
        f"{IMPORT}from threading import Thread\ndef main():\n    {CALL}\n"
        "if __name__ == '__main__':\n    one = Thread(target=main)\n    one.start()\n"
    ),
}
UNGUARDED = {
    "bare": (IMPORT + CALL, 2),
    "in a function": (f"{IMPORT}def main():\n    {CALL}\n\nmain()\n", 5),
    "guarded too late": (f"{IMPORT}{CALL}\nif __name__ == '__main__':\n    print('late')\n", 2),
    "another condition": (f"{IMPORT}if map_crystals:\n    {CALL}\n", 3),
}


def run(words, environment):
    return subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_guarded_script_runs(script, tmp_path, script_environment):
    (tmp_path / "script.py").write_text(script)
    done = run([str(tmp_path / "script.py")], script_environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[1, 2, 3]\n"


@pytest.mark.parametrize(("script", "line"), UNGUARDED.values(), ids=UNGUARDED)
def test_an_unguarded_one_is_told_where(script, line, tmp_path, script_environment):
    file = tmp_path / "script.py"
    file.write_text(script)
    done = run([str(file)], script_environment)
    assert done.returncode == 1 and not done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert f"{file}, line {line}, starts processes" in last and 'if __name__ == "__main__"' in last


def test_what_is_no_file_is_never_imported_again(script_environment):
    done = run(["-c", IMPORT + CALL], script_environment)
    assert (done.returncode, done.stdout) == (0, "[1, 2, 3]\n"), done.stderr


def test_the_folder_of_a_run_is_free_again(system_folder, tmp_path, script_environment):
    """`evaluate` holds its folder while it works; the example of the README without a guard."""
    from flowllm.cli import main

    words = ["generate", "--model", str(system_folder), "--num", "4", "--steps", "1"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    file = tmp_path / "script.py"
    file.write_text(
        "from flowllm import evaluate\n"
        f"evaluate({str(tmp_path / 'run')!r}, out={str(tmp_path / 'eval')!r}, workers=2,\n"
        "         only=['validity'])\n"
    )
    first, second = (run([str(file)], script_environment) for _ in range(2))
    for done in (first, second):
        assert done.returncode == 1
        assert "starts processes" in done.stderr and "another process" not in done.stderr
