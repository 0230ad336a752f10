#!/usr/bin/env bash
# From MP-20 to a system like the default one, on two processor cores in under 3 hours.
# Usage: recipes/symmetric.sh [FOLDER] [SEED]   (default runs/mp20-symmetric, 0; MP-20 ships with the package)
# The settings are the defaults; `flowllm train flowllm-symmetric --help` lists them. On a processor without
# bfloat16, leave --prior-bfloat16 out. Run again after an interruption, it goes on where it stopped.
set -euo pipefail
out=${1:-runs/mp20-symmetric}
seed=${2:-0}

# 1. The language model of symmetric texts (3 million weights, 18 passes), and the templates.
# 2. The equivariant flow, on noise and on pairs of what templates predict and crystals (24 passes).
# 3. Both in one folder that generate, refine and evaluate take.
flowllm train flowllm-symmetric mp_20 --out "$out" --prior-bfloat16 --prior-seed "$seed" --refiner-seed "$seed"

# 4. Its figures.
flowllm generate --model "$out/model" --num 200 --out "$out/free"
flowllm evaluate "$out/free" --out "$out/free-evaluated" \
  --only validity,contacts,distributions,diversity,novelty,relaxation,stability
python -m recipes.compare_parts --rows 1000 --model "$out/model"
