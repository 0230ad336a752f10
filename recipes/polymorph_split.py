"""MP-20 split so that all polymorphs of a composition are on one side, as prepared data.

Usage: python -m recipes.polymorph_split OUT [--ship]

Training, `flowllm generate --targets OUT` and `flowllm reference --data OUT` read it; a model is to
be trained on its own train split. With --ship the ids that come with the package are written anew.
"""

from __future__ import annotations

import sys

from flowllm.data import load_dataset
from flowllm.evaluation.polymorph_split import SPLITS, write_ids, write_polymorph_split


def main(out: str, *options: str) -> None:
    """Write the folder."""
    write_polymorph_split(out)
    parts = {split: load_dataset(out, split) for split in SPLITS}
    for split, crystals in parts.items():
        formulas = set(crystals.reduced_formulas)
        print(f"{split}: {len(crystals):,} crystals of {len(formulas):,} compositions")
    if "--ship" in options:
        write_ids({split: crystals.crystals.ids.tolist() for split, crystals in parts.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
