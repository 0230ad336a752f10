#!/usr/bin/env bash
# From MP-20 to a compact system like the one that ships with the package, on two processor cores.
# Usage: recipes/cpu.sh [FOLDER]   (default runs/mp20-compact; MP-20 ships with the package)
# The settings are the defaults; `flowllm train flowllm --help` lists them.
set -euo pipefail
out=${1:-runs/mp20-compact}

# 1. Primitive, Niggli-reduced, canonical crystals as arrays (2 minutes).
flowllm data mp_20 --out "$out/data"

# 2. The language model, from scratch (70 minutes); pairs, a sample for each training crystal's
#    composition, aligned with it, and noisy copies of the crystals (10 minutes); the Riemannian flow, on
#    the pairs that are close (45 minutes); and all of it in one folder that generate, refine and evaluate
#    take.
flowllm train flowllm "$out/data" --out "$out"

# 3. Its figures.
flowllm generate --model "$out/model" --num 1000 --out "$out/free"
flowllm evaluate "$out/free" --only validity,distributions,diversity,novelty --out "$out/free-evaluated"
flowllm generate --model "$out/model" --targets "$out/data" --num 500 --out "$out/matched"
flowllm evaluate "$out/matched" --only prediction --out "$out/matched-evaluated"
python -m recipes.before_and_after "$out/matched" "$out/data"
