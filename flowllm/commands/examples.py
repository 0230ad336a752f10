"""Two examples for each command, shown at the end of its help."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, str]] = {
    "generate": (
        "flowllm generate --num 16 --out runs/first",
        "flowllm generate --formula SrTiO3 --space-group Pm-3m --num 8 --out runs/srtio3",
    ),
    "refine": (
        "flowllm refine mine.cif --out runs/refined",
        "flowllm refine cifs more.extxyz --model mp20-compact --steps 50 --out runs/refined",
    ),
    "evaluate": (
        "flowllm evaluate runs/first --only contacts,coverage,novelty --out runs/first/eval",
        "flowllm evaluate their-cifs --relax-num 200 --out runs/theirs",
    ),
    "adherence": (
        "flowllm adherence --num 200 --out runs/adherence",
        "flowllm adherence --model mp20-compact --num 50 --workers 1 --out runs/adherence",
    ),
    "score": (
        "flowllm score cifs --out scores.csv",
        "flowllm score cifs --model mp20-compact --ipt 20 --num 5",
    ),
    "infill": (
        "flowllm infill mine.cif --sites 3,4 --elements Li,Na,K --out runs/infilled",
        "flowllm infill mine.cif --keep 2 --formula SrTiO3 --out runs/completed",
    ),
    "export": (
        "flowllm export runs/first --vasp --out runs/vasp",
        "flowllm export runs/first/eval --quantum-espresso --where sun --out runs/espresso",
    ),
    "app": (
        "flowllm app",
        "flowllm app --run runs/first --no-browser",
    ),
    "data": (
        "flowllm data mp_20 --out runs/mp20",
        "flowllm data my.csv --random-split --out runs/my-data",
    ),
    "train": (
        "flowllm train flowllm-symmetric --out runs/symmetric",
        "flowllm train flowllm my.csv --prior-epochs 5 --refiner-epochs 4 --out runs/small",
    ),
    "train-lm": (
        "flowllm train-lm --out runs/lm",
        "flowllm train-lm --model /models/llama-2-7b --lora --out runs/llama-lora",
    ),
    "merge-lm": (
        "flowllm merge-lm runs/llama-lora --out runs/llama",
        "flowllm merge-lm runs/llama-lora --base /models/llama-2-7b --out runs/llama",
    ),
    "pair": (
        "flowllm pair --lm runs/lm --out runs/pairs",
        "flowllm pair --lm runs/lm --data runs/my-data --workers 4 --out runs/my-pairs",
    ),
    "train-flow": (
        "flowllm train-flow --pairs runs/pairs --out runs/flow",
        "flowllm train-flow --pairs runs/pairs --preset paper --threads 8 --out runs/flow",
    ),
    "combine": (
        "flowllm combine --lm runs/lm --flow runs/flow --out runs/system",
        "flowllm combine --lm runs/lm --flow runs/flow --data runs/my-data --out runs/system",
    ),
    "bench": (
        "flowllm bench",
        "flowllm bench --model mp20-compact --num 64 --threads 2",
    ),
    "reference": (
        "flowllm reference --data runs/my-data --name mine --out runs/reference",
        "flowllm reference --data mp_20 --workers 2 --out runs/reference",
    ),
    "hull": (
        "flowllm hull convert 2023-02-07-ppd-mp.pkl.gz --out hull.npz",
        "flowllm hull convert mine.pkl --out hull.npz --overwrite",
    ),
}
"""Name on the command line -> two calls of it."""
