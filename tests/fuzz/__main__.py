"""Fuzz for some minutes: python -m tests.fuzz [--minutes 30] [--seed 1] [--only readers,runs]."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.corpus import write_corpus
from tests.fuzz.run import faults_of
from tests.fuzz.targets import TARGETS

ROUND = 200  # cases of a target before the next has its turn


def main() -> int:
    """Print each fault once for its last line, and how many cases ran; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1, help="CI has 0")
    parser.add_argument("--only", default="")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name] or list(TARGETS)
    ran, faults, seen = Counter[str](), Counter[str](), set[str]()
    with tempfile.TemporaryDirectory(prefix="corpus") as folder:
        corpus = Path(folder) / "corpus"
        write_corpus(corpus)
        end, turn = time.monotonic() + 60 * options.minutes, 0
        while time.monotonic() < end:
            target = names[turn % len(names)]
            start = options.seed * 10**9 + turn // len(names) * ROUND
            for number, fault in faults_of(
                target, range(start, start + ROUND), corpus, options.workers
            ):
                faults[target] += 1
                last = fault.what.strip().splitlines()[-1]
                if last not in seen:
                    seen.add(last)
                    print(f"{target} {number}\n{fault.what}\n{fault.shown}\n", flush=True)
            ran[target] += ROUND
            turn += 1
    for target in names:
        print(f"{target}: {ran[target]:,} cases, {faults[target]} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
