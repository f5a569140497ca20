#!/bin/sh
# What a GPU is asked in a few minutes, with what `make gpu-pack` has put into out/gpu.
#   run_gpu.sh bench   kernels, then the whole loop on recorded frames
#   run_gpu.sh train   the extractor, head and volume of `live`, for MINUTES (8); goes on where it was
# Needs torch with CUDA, numpy, scipy, OpenCV, onnxruntime, click and safetensors; no mediapipe, PyAV or OpenVINO.
# OUT is where results go, PYTHON what runs them, DEVICE another than cuda to rehearse.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
device=${DEVICE:-cuda}
out=${OUT:-out/gpu/results}
export PYTHONPATH="$PWD:$PWD/out/gpu/loop/site" XDG_CACHE_HOME="$PWD/out/gpu/loop/cache"
mkdir -p "$out"
case ${1:?bench or train} in
bench)
  "$python" -m benchmarks.kernels --out "$out/kernels.json" ${QUICK:+--quick}
  "$python" -m benchmarks.recorded_loop run out/gpu/loop --device "$device" ${QUICK:+--frames 30} --out "$out/recorded_loop.json"
  ;;
train)
  "$python" run.py train live --motion out/gpu/material/motion --assets out/gpu/material --out "$out/live" \
    --device "$device" --workers "${WORKERS:-15}" --minutes "${MINUTES:-8}"
  ;;
*)
  echo "run_gpu.sh: expected bench or train, got $1" >&2
  exit 2
  ;;
esac
