#!/usr/bin/env bash
# The recipe of cpu.sh with larger sizes, for one GPU. NOT RUN on a GPU yet: sizes are a proposal.
# Usage: recipes/gpu.sh [FOLDER]
set -euo pipefail
out=${1:-runs/mp20-large}

flowllm data mp_20 --out "$out/data"
flowllm train flowllm "$out/data" --out "$out" --device cuda \
  --prior-hidden 512 --prior-layers 8 --prior-heads 8 --prior-feed-forward 1408 --prior-epochs 10 \
  --prior-batch-size 128 --pairs-num-pairs 200000 --pairs-perturbed 100000 \
  --refiner-hidden 512 --refiner-layers 6 --refiner-epochs 40 --refiner-batch-size 256
flowllm generate --model "$out/model" --num 1000 --device cuda --out "$out/free"
flowllm evaluate "$out/free" --only validity,distributions,diversity,novelty --out "$out/free-evaluated"
flowllm generate --model "$out/model" --targets "$out/data" --num 500 --device cuda --out "$out/matched"
flowllm evaluate "$out/matched" --only prediction --out "$out/matched-evaluated"
python -m recipes.before_and_after "$out/matched" "$out/data"
