#!/usr/bin/env bash
# Every system by the same commands: crystals with nothing asked, and structures of known compositions.
# Usage: recipes/bench_systems.sh [FOLDER [SYSTEM …]]   (default runs/systems, and every system that ships)
# Run again after an interruption, each command goes on where it stopped. The tables are written by
# `python -m recipes.systems_table FOLDER`.
set -euo pipefail
out=${1:-runs/systems}
shift || true
systems=${*:-flowllm-symmetric flowllm crystalllm flowllm-types flowmm diffcsp crysllmgen crysllmgen-symmetric cdvae}
proxies=validity,contacts,distributions,diversity,novelty,coverage
relaxed=relaxation,stability

for system in $systems; do
  here=$out/$system
  # 1. De novo generation: 1,000 crystals, of which a random 200 are relaxed, and 300 each of two more seeds.
  for seed in 0 1 2; do
    num=300
    if [ "$seed" = 0 ]; then num=1000; fi
    flowllm generate --model "$system" --num "$num" --seed "$seed" --out "$here/dng-$seed"
    flowllm evaluate "$here/dng-$seed" --name "$system" --only "$proxies" --out "$here/dng-$seed-proxies"
  done
  flowllm evaluate "$here/dng-0" --name "$system" --only validity,novelty,$relaxed --relax-num 200 \
    --out "$here/dng-0-relaxed"
  # 2. Structure prediction: one try for each of the same 1,000 test crystals. CDVAE takes no composition.
  if [ "$system" = cdvae ]; then continue; fi
  flowllm generate --model "$system" --targets mp_20 --num 1000 --for predict --out "$here/csp-0"
  for seed in 1 2; do
    flowllm generate --model "$system" --targets mp_20 --num 300 --for predict --seed "$seed" --out "$here/csp-$seed"
  done
  for seed in 0 1 2; do
    flowllm evaluate "$here/csp-$seed" --name "$system" --only prediction --out "$here/csp-$seed-evaluated"
  done
done
