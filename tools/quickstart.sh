#!/usr/bin/env bash
# The main job from nothing, in minutes: set-up, drawn garments in DeepFashion2's layout,
# conversion, training of the multi-grained detector (small), test, pictures.
#
#     bash tools/quickstart.sh [--active]
#
# --active takes the active environment instead of .venv. Everything is written to
# data/synthetic_deepfashion2 and work_dirs/quickstart. A GPU is used if there is one.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

data=data/synthetic_deepfashion2
config=configs/multigrain/wgroup_r18_fpn_synthetic.py
out=work_dirs/quickstart
started=$SECONDS

step() {
    printf '\n== %s (%d min %02d s since the start)\n' \
        "$1" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60))
}

step 'Set-up'
if [[ ${1-} == --active ]]; then
    bash tools/setup.sh --active
    python=$(command -v python || command -v python3)
else
    bash tools/setup.sh
    python=.venv/bin/python
fi
set_up=$SECONDS

step 'Draw 1,800 pictures of garments'
"$python" tools/dataset_converters/make_synthetic_deepfashion2.py "$data" --workers 2

step 'Convert the release layout to COCO'
"$python" tools/dataset_converters/deepfashion2.py "$data"

step 'Train wgroup; the whole log is in '"$out/train.log"
mkdir -p "$out"
"$python" tools/train.py "$config" --work-dir "$out" --seed 0 --resume 2>&1 |
    tee "$out/train.log" |
    grep --line-buffered -oE 'resumed epoch.*|Iter\(train\).*loss: [0-9.]+|^error: .*|Saving checkpoint.*' || {
    tail -n 5 "$out/train.log" >&2
    exit 1
}

step 'Test on the validation split'
"$python" tools/test.py "$config" "$out/$(basename "$(cat "$out/last_checkpoint")")" \
    --work-dir "$out" --out "$out/result.json" 2>&1 | tee "$out/test.log" |
    sed -n '/class .*superclass/,$p;/^error: /p'

step 'Pictures'
"$python" tools/predict.py "$data/validation/image" "$config" \
    "$out/$(basename "$(cat "$out/last_checkpoint")")" --out "$out/predictions" --batch-size 8

"$python" - "$out" $((SECONDS - set_up)) <<'PYTHON'
import json
import sys

out, seconds = sys.argv[1], int(sys.argv[2])
ap50 = json.load(open(f'{out}/result.json'))['coco']['AP50']
print(f'\nDone in {seconds // 60} min {seconds % 60:02d} s after set-up: AP50 {100 * ap50:.1f}')
print(f'  numbers   {out}/result.json\n  pictures  {out}/predictions')
if ap50 < 0.5:
    sys.exit(f'error: AP50 {100 * ap50:.1f} is below 50; something is wrong with this set-up')
PYTHON
