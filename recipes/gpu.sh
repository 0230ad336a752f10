#!/usr/bin/env bash
# The recipe of cpu.sh with larger sizes, for one GPU. NOT RUN on a GPU yet: sizes are a proposal.
# Usage: recipes/gpu.sh [FOLDER]
set -euo pipefail
out=${1:-runs/mp20-large}

flowllm data mp_20 --out "$out/data"
flowllm train-lm --data "$out/data" --out "$out/lm" --device cuda \
  --hidden 512 --layers 8 --heads 8 --feed-forward 1408 --epochs 10 --batch-size 128 --weight-decay 0.5
flowllm pair --lm "$out/lm" --data "$out/data" --out "$out/pairs" --device cuda \
  --num-pairs 200000 --samples-per-target 1 --keep all --temperature 0.7 --top-p 0.9 --perturbed 100000
flowllm train-flow --pairs "$out/pairs" --out "$out/flow" --device cuda \
  --hidden 512 --epochs 40 --batch-size 256 --learning-rate 2e-3 --max-distance 0.02 --max-strain 0.1 \
  --coord-weight 6000 --weight-decay 0.1
flowllm combine --lm "$out/lm" --flow "$out/flow" --data "$out/data" --out "$out/model"
flowllm generate --model "$out/model" --num 1000 --out "$out/free" --device cuda
flowllm evaluate "$out/free" --only validity,distributions,diversity,novelty --out "$out/free-evaluated"
flowllm generate --model "$out/model" --targets "$out/data" --num 500 --out "$out/matched" --device cuda
flowllm evaluate "$out/matched" --only prediction --out "$out/matched-evaluated"
python -m recipes.before_and_after "$out/matched" "$out/data"
