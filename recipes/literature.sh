#!/usr/bin/env bash
# From MP-20 to the systems of the literature that ship, on a CPU: FlowMM and DiffCSP (structure prediction and
# generation), CDVAE, FlowLLM-Types with the language model that ships, and CrysLLMGen, which is made of others.
# Usage: recipes/literature.sh [FOLDER [THREADS [START]]]   (default runs/literature, 1 thread, CrysLLMGen from 0.5)
# The settings are the defaults; `flowllm train NAME --help` lists them. Run again after an interruption, each
# command goes on where it stopped. What is finished is packed into flowllm/pretrained.
set -euo pipefail
out=${1:-runs/literature}
export OMP_NUM_THREADS=${2:-1}
start=${3:-0.5}

# 1. Each system by its name. FlowMM and DiffCSP train a network for each of their two tasks, one after the other;
#    a folder that holds one of them is completed by the same command.
flowllm train flowmm mp_20 --out "$out/flowmm" --refiner-threads "$OMP_NUM_THREADS" --device cpu
flowllm train diffcsp mp_20 --out "$out/diffcsp" --refiner-threads "$OMP_NUM_THREADS" --device cpu
flowllm train cdvae mp_20 --out "$out/cdvae" --prior-threads "$OMP_NUM_THREADS" --device cpu
flowllm train flowllm-types mp_20 --out "$out/types" --prior-language-model-of mp20-compact --workers 1 \
  --refiner-threads "$OMP_NUM_THREADS" --device cpu

# 2. What ships: weights in float16 without checkpoints and logs, and CrysLLMGen's two records.
python -m recipes.ship_systems --flowmm "$out/flowmm" --diffcsp "$out/diffcsp" --cdvae "$out/cdvae" \
  --types "$out/types" --start "$start" --machine "$OMP_NUM_THREADS processor cores"
