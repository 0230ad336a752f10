"""Disturb the long commands at random moments and see whether they end as if nothing had happened.

Usage: python -m recipes.chaos [--times 100] [--seed 0] [--out runs/chaos] [--only data,generate]

Each command runs once in peace. Then it is killed (SIGKILL or SIGTERM), runs on a disk that fills
up, or is killed and finds one of its files torn, each at a random moment, and is called again. Its
files must then be those of the run in peace; where a torn file cannot be made again, the command
must say so in one line with exit code 2. What is torn is a file of a run that was not finished: a
finished run has synced its files and does not read them again. As root the full disk is a small
file system in memory, otherwise a limit on the size of files. Needs FLOWLLM_DATA_DIR; about 20 s
for each disturbance.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recipes.chaos_commands import COMMANDS, LongCommand, prepare
from recipes.chaos_files import fingerprint, is_finished, size_of, tear

KINDS = ("SIGKILL", "SIGTERM", "full disk", "torn file")
PATIENCE = 600  # seconds for a command that runs in peace


@dataclass(frozen=True)
class Outcome:
    """What became of one disturbed run: `verdict` is equal, refused, or the fault in words."""

    command: str
    kind: str
    moment: float
    verdict: str
    about: str = ""

    @property
    def good(self) -> bool:
        """Equal files, or a line about a torn one."""
        return self.verdict == "equal" or (self.kind == "torn file" and self.verdict == "refused")


def flowllm(words: list[str], limit: int | None = None) -> subprocess.Popen[str]:
    """A running command, in a process group of its own."""

    def before() -> None:
        os.setsid()
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "flowllm", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=before,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and output; nothing of the process group stays behind."""
    try:
        text, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        text = "it hangs"
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait(), text


def interrupt(process: subprocess.Popen[str], moment: float, number: int) -> tuple[int, str]:
    """Send a signal to the process alone, as a scheduler would, unless it has ended before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    if process.poll() is None:
        process.send_signal(number)
    return finish(process)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """A file system of so many bytes at `folder`; the function gives it room. None: not allowed."""
    folder.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode:
        yield None
        return
    try:
        yield lambda: subprocess.run(
            ["mount", "-o", "remount,size=1g", str(folder)], check=True
        ).check_returncode()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def disturb(
    command: LongCommand, kind: str, work: Path, peace: dict[str, str], seconds: float,
    size: int, rng: random.Random,
) -> Outcome:  # fmt: skip
    """Run the command disturbed, then again, and compare."""
    moment = rng.uniform(0.2, 1.0)
    room = work / "disturbed"
    about = ""
    with contextlib.ExitStack() as stack:
        out, grow = room / "out", None
        if kind == "full disk":
            grow = stack.enter_context(small_disk(room, max(4096, int(size * moment))))
            limit = None if grow else max(100, int(size * moment / 3))
            code, text = finish(flowllm(command.words(work, out), limit))
            if code not in (0, 2) or "Traceback" in text:
                return Outcome(command.name, kind, moment, f"exit {code} when full", text[-800:])
            if grow:
                grow()
        else:
            number = signal.SIGTERM if kind == "SIGTERM" else signal.SIGKILL
            interrupt(flowllm(command.words(work, out)), moment * seconds, number)
        if kind == "torn file" and not is_finished(out):
            about = tear(out, rng)
        code, text = finish(flowllm(command.words(work, out)))
        if code == 2 and "Traceback" not in text:
            verdict = "refused"
        elif code:
            verdict = f"exit {code} when called again"
        else:
            different = {
                name for name, value in peace.items() if fingerprint(out, [name]).get(name) != value
            }
            verdict = f"other files: {', '.join(sorted(different))}" if different else "equal"
        if verdict != "equal":
            about = f"{about}\n{text[-800:]}"
    shutil.rmtree(room, ignore_errors=True)
    return Outcome(command.name, kind, moment, verdict, about)


def main() -> int:
    """Print a line for each disturbance and a table of verdicts; 1 if any is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/chaos"))
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    work = options.out.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    prepare(work, lambda words: finish(flowllm(words)))
    names = [name for name in options.only.split(",") if name] or [c.name for c in COMMANDS]
    peaces: list[tuple[LongCommand, dict[str, str], float, int]] = []
    for command in COMMANDS:
        if command.name not in names:
            continue
        out = work / "peace" / command.name
        began = time.monotonic()
        code, text = finish(flowllm(command.words(work, out)))
        if code:
            raise SystemExit(f"{command.name} fails in peace ({code}):\n{text}")
        seconds = time.monotonic() - began
        peaces.append((command, fingerprint(out, command.files), seconds, size_of(out)))
        print(f"{command.name}: {seconds:.1f} s in peace", flush=True)
    rng = random.Random(options.seed)
    outcomes = []
    for turn in range(options.times):
        command, peace, seconds, size = peaces[turn % len(peaces)]
        kind = KINDS[(turn // len(peaces)) % len(KINDS)]
        outcome = disturb(command, kind, work, peace, seconds, size, rng)
        outcomes.append(outcome)
        sign = "ok   " if outcome.good else "FAULT"
        print(f"{sign} {turn + 1:3d} {outcome.command:14s} {outcome.kind:10s} "
              f"at {outcome.moment:.2f}: {outcome.verdict}", flush=True)  # fmt: skip
        if not outcome.good:
            print(outcome.about, flush=True)
    counts = Counter((o.kind, o.verdict) for o in outcomes)
    for (kind, verdict), count in sorted(counts.items()):
        print(f"{kind:10s} {verdict}: {count}")
    lines = [json.dumps(outcome.__dict__) for outcome in outcomes]
    (work / "outcomes.jsonl").write_text("\n".join(lines) + "\n")
    return int(not all(outcome.good for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
