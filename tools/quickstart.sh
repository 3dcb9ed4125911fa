#!/bin/sh
# Everything once, on a laptop: environment, made-up street videos, training, test, figures, pictures. About 6 minutes on two
# cores after the first set-up (4 minutes). It can be interrupted and run again.
#
#   sh tools/quickstart.sh [OUT]        OUT: folder of the results, work_dirs/quickstart_seed<SEED> by default
#
# SEED (default 0) seeds the training: another one gives other figures, by as much as the README says.
set -eu
out=${1:-}
case $out in ''|/*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "$0")/.."
out=${out:-work_dirs/quickstart_seed${SEED:-0}}
config=configs/det/toy_step/video_knet_s3_r18_toy_step.py
sh tools/setup_env.sh
python="${VENV:-.venv}/bin/python"
export CUDA_VISIBLE_DEVICES=  # the CPU: a GPU would give other figures
export PYTHONWARNINGS="ignore:On January 1"  # mmcv's announcement of its next version
start=$(date +%s)
say() { printf '\n== [%s s] %s\n' "$(($(date +%s) - start))" "$*"; }

say "1/5 street videos in STEP layout: data/toy_step"
"$python" datasets/make_toy_step.py data/toy_step
say "2/5 training (about 5 minutes on two cores)"
"$python" tools/train.py $config --work-dir "$out" --seed "${SEED:-0}" --auto-resume --no-validate
say "3/5 testing: predictions, figures, coloured images and videos"
PYTHON="$python" sh tools/dist_step_test.sh $config "$out" 2 --work-dir "$out"
say "4/5 report"
"$python" tools/report.py "$out/results" data/toy_step --out "$out/report.html"
say "5/5 done"
cat <<END
Look at this first:            $out/report.html (open it in a browser)
Predictions (STEP encoding):   $out/results/panoptic/<sequence>/<sequence>_<frame>.png
Figures:                       $out/results/metrics.json
Coloured semantic maps:        $out/show/semantic/<sequence>/
Coloured tracks:               $out/show/tracks/<sequence>/
Input, prediction, truth:      $(ls "$out"/show/videos/*.mp4 | head -1) ($(ls "$out"/show/videos/*.mp4 | wc -l) videos)
Checkpoint and logs:           $out
END
