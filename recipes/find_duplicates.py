"""Held-out crystals of MP-20 that training holds too: flowllm/reference/mp_20/duplicates.json.

Usage: python -m recipes.find_duplicates. By StructureMatcher's defaults, within equal reduced
formulas.
"""

from flowllm import load_dataset
from flowllm.data.shipped import DUPLICATES, ROOM
from flowllm.runs.files import write_json
from flowllm.stability import novelty

if __name__ == "__main__":
    training = load_dataset("mp_20", "train")
    found = {}
    for split in ("val", "test"):
        crystals = load_dataset("mp_20", split).crystals
        known = novelty(crystals, training, workers=None)
        faults = [fault for fault in known.faults if fault]
        pairs = zip(crystals.ids.tolist(), known.matched.tolist(), strict=True)
        found[split] = {name: other for name, other in pairs if other}
        print(
            f"{split}: {len(found[split]):,} of {len(crystals):,} match a training crystal, "
            f"{int(known.same_formula.sum()):,} have the formula of one; not compared: {faults}"
        )
    write_json(ROOM / "mp_20" / DUPLICATES, found)
