#!/usr/bin/env bash
# The papers' own experiments with the weights that ship, by FlowLLM's arrangement: temperature and nucleus,
# noise on the prior, integration steps, closeness to the relaxed state before and after the flow; CrystalLLM's
# invariance of the likelihood; asked formulas and space groups, as in CrysLLMGen's table.
# Usage: recipes/papers.sh [FOLDER [CRYSTALS]]   (default runs/papers, 500 crystals a cell; 2 hours on one core)
# Run again after an interruption, each command goes on where it stopped. `python -m recipes.papers_table FOLDER`
# writes the tables.
set -euo pipefail
out=${1:-runs/papers}
num=${2:-500}
model=flowllm
proxies=validity,distributions,coverage,novelty

cell() { # NAME OPTIONS…: generate and evaluate one cell
  local name=$1
  shift
  flowllm generate --model "$model" --num "$num" "$@" --out "$out/$name/run"
  flowllm evaluate "$out/$name/run" --only "$proxies" --out "$out/$name/refined"
}

# 1. FlowLLM, table 1: temperature τ and nucleus P; and the language model's crystals as they were drawn.
for tau in 0.5 0.7 0.9 1.0; do
  for top in 0.9 0.95 1.0; do
    cell "tau-$tau-$top" --temperature "$tau" --top-p "$top"
    flowllm evaluate "$out/tau-$tau-$top/run/prior" --only "$proxies" --out "$out/tau-$tau-$top/prior"
  done
done
# 2. FlowLLM's figure on noise added to the prior's values.
for noise in 0.005 0.01 0.02 0.04; do cell "noise-$noise" --noise "$noise"; done
# 3. Validity against integration steps.
for steps in 1 2 5 10 25 100 250; do cell "steps-$steps" --steps "$steps"; done
# 4. Closeness to the relaxed state, before and after the flow (defaults τ 0.7, P 0.9).
for part in run/prior run; do
  flowllm evaluate "$out/tau-0.7-0.9/$part" --only validity,novelty,relaxation,stability --relax-num 100 \
    --out "$out/relaxed-${part//\//-}"
done
# 5. What is asked: formula and space group, with the systems of CrysLLMGen's table.
for system in crystalllm flowllm crysllmgen flowllm-symmetric; do
  flowllm adherence --model "$system" --kinds formula,space-group,formula+space-group --num 100 --constraints with \
    --out "$out/asked-$system"
done
