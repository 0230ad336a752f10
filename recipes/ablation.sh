#!/usr/bin/env bash
# Is the language model needed? The same flow, trained with the same budget, behind four priors.
# Usage: recipes/ablation.sh [FOLDER [LANGUAGE_MODEL [DATA]]]   (default runs/ablation, the language
# model that ships, and runs/mp20, prepared if it is not there)
set -euo pipefail
out=${1:-runs/ablation}
lm=${2:-flowllm/pretrained/mp20-compact/lm}
data=${3:-runs/mp20}

flowllm data mp_20 --out "$data"

# 1. Pairs of each prior: one sample for each training crystal's composition (12 minutes of a core for
#    the language model, 1 for each of the others). Types drawn from the training compositions need
#    none of their own: given a composition, their simple base and that of the language model's types
#    are the same.
for prior in language-model types substitution; do
  flowllm pair --prior "$prior" --lm "$lm" --data "$data" --out "$out/$prior/pairs" \
    --perturbed 0
done

# 2. The flows: all pairs, near or far, one architecture, one budget (22 to 26 minutes
#    each on one core that other work shared).
for prior in language-model types substitution; do
  flowllm train-flow --pairs "$out/$prior/pairs" --out "$out/$prior/flow" \
    --epochs 6 --coord-weight 200 --max-distance 0.25 --max-strain 10
done

# 3. 1,000 crystals of each, nothing asked; proxies on all, relaxation of a random 200.
for prior in language-model types substitution compositions; do
  flow=$prior
  if [ "$prior" = compositions ]; then flow=types; fi
  flowllm combine --prior "$prior" --lm "$lm" --flow "$out/$flow/flow" --data "$data" \
    --out "$out/$prior/model"
  flowllm generate --model "$out/$prior/model" --num 1000 --out "$out/$prior/crystals"
  flowllm evaluate "$out/$prior/crystals" --name "$prior" --relax-num 200 --out "$out/$prior/eval"
done

# 4. Beside them the language model without a flow.
flowllm evaluate "$out/language-model/crystals/prior" --name "no flow" --relax-num 200 \
  --out "$out/no-flow/eval"

python recipes/compare.py "$out"/{language-model,types,substitution,compositions,no-flow}/eval
