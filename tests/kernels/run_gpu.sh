#!/bin/sh
# What needs a GPU: the kernels' and the engines' tests with CUDA, the kernels' once more under compute-sanitizer if it
# is there, and their benchmark.
# Needs torch with CUDA, numpy and pytest. Run from anywhere; an argument names the Python to use.
set -eu
cd "$(dirname "$0")/../.."
python=${1:-python3}
"$python" -c 'import torch; assert torch.cuda.is_available(), "no GPU that torch can use"'
"$python" -m pytest -q tests/kernels -m "gpu or slow"
"$python" -m pytest -q tests/engines/test_engines.py -m gpu
if command -v compute-sanitizer >/dev/null; then
  # torch's allocator hands out parts of large blocks: without its cache a read past the end is seen.
  PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --error-exitcode 1 --launch-timeout 0 \
    "$python" -m pytest -q tests/kernels -m gpu -k "not graph"
fi
"$python" -m benchmarks.kernels
