// Small things that all CUDA kernels share. Compiled by NVRTC and nvcc; the tests also run it on a CPU, thread by
// thread.
#pragma once

#define KERNELS_D __device__ inline

namespace kernels {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr float kFarthest = 3.0e38f;

KERNELS_D unsigned lanes_before(int lane) { return (1u << lane) - 1; }

// The sum over a warp, in every lane.
template <typename T>
KERNELS_D T warp_sum(T value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

}  // namespace kernels
