#!/usr/bin/env bash
# From MP-20 to a compact system like the one that ships with the package, on two processor cores.
# Usage: recipes/cpu.sh [FOLDER]   (default runs/mp20-compact; FLOWLLM_DATA_DIR or a download gives MP-20)
set -euo pipefail
out=${1:-runs/mp20-compact}

# 1. Primitive, Niggli-reduced, canonical crystals as arrays (2 minutes).
flowllm data mp_20 --out "$out/data"

# 2. The language model, from scratch (70 minutes).
flowllm train-lm --data "$out/data" --out "$out/lm" --epochs 6 --weight-decay 0.5

# 3. Pairs: a sample for each training crystal's composition, aligned with it; and noisy copies of the
#    crystals (10 minutes).
flowllm pair --lm "$out/lm" --data "$out/data" --out "$out/pairs" \
  --num-pairs 26343 --samples-per-target 1 --keep all --temperature 0.7 --top-p 0.9 --perturbed 26343

# 4. The Riemannian flow, on the pairs that are close (45 minutes).
flowllm train-flow --pairs "$out/pairs" --out "$out/flow" --hidden 224 --layers 5 --epochs 16 \
  --learning-rate 2e-3 --max-distance 0.02 --max-strain 0.1 --coord-weight 6000 --weight-decay 0.1

# 5. One folder that generate, refine and evaluate take, and its figures.
flowllm combine --lm "$out/lm" --flow "$out/flow" --data "$out/data" --out "$out/model"
flowllm generate --model "$out/model" --num 1000 --out "$out/free"
flowllm evaluate "$out/free" --only validity,distributions,diversity,novelty --out "$out/free-evaluated"
flowllm generate --model "$out/model" --targets "$out/data" --num 500 --out "$out/matched"
flowllm evaluate "$out/matched" --only prediction --out "$out/matched-evaluated"
python -m recipes.before_and_after "$out/matched" "$out/data"
