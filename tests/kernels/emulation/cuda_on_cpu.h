// Runs CUDA kernels on a CPU, so that their tests need no GPU. Every thread of a block is a fibre of one real thread; a
// fibre runs until it meets a barrier and goes on when all the others of its block or warp have met it too. Blocks run
// one after the other. It finds wrong arithmetic, indices, and barriers that not all threads reach; it does not find
// races between threads that no barrier separates, nor what only the hardware knows.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static  // one block at a time, one real thread: shared by all of its fibres

namespace emulated {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kDone };

constexpr size_t kStack = 256 * 1024;
constexpr unsigned kLanes = 32;

struct Fibre {
  Index thread;
  State state = State::kReady;
  bool started = false;
  jmp_buf where;
  ucontext_t context;
  std::unique_ptr<char[]> stack;
};

inline Index block_index, block_size, grid_size;
inline Fibre* running = nullptr;
inline jmp_buf scheduler;
inline std::vector<Fibre> fibres;
inline std::function<void()> body;
inline unsigned long long slots[32][kLanes];  // what the lanes of each warp show each other

inline void wait_at(State barrier) {
  running->state = barrier;
  if (_setjmp(running->where) == 0) _longjmp(scheduler, 1);
}

inline void enter() {
  body();
  running->state = State::kDone;
  _longjmp(scheduler, 1);
}

inline void resume(Fibre& fibre) {
  running = &fibre;
  if (_setjmp(scheduler) != 0) return;
  if (fibre.started) _longjmp(fibre.where, 1);
  fibre.started = true;
  setcontext(&fibre.context);
}

inline void prepare(Fibre& fibre, unsigned x) {
  if (!fibre.stack) fibre.stack.reset(new char[kStack]);
  fibre.thread = {x, 0, 0};
  fibre.state = State::kReady;
  fibre.started = false;
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = fibre.stack.get();
  fibre.context.uc_stack.ss_size = kStack;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, enter, 0);
}

// Lets [first, last) go on if all of them wait at this barrier or have ended; says whether any could.
inline bool release(unsigned first, unsigned last, State barrier) {
  bool any = false;
  for (unsigned i = first; i < last; ++i) {
    if (fibres[i].state != barrier && fibres[i].state != State::kDone) return false;
    any = any || fibres[i].state == barrier;
  }
  for (unsigned i = first; i < last; ++i) {
    if (fibres[i].state == barrier) fibres[i].state = State::kReady;
  }
  return any;
}

inline void run_warp(unsigned first, unsigned last) {
  do {
    for (unsigned i = first; i < last; ++i) {
      if (fibres[i].state == State::kReady) resume(fibres[i]);
    }
  } while (release(first, last, State::kAtWarpBarrier));
}

inline void run_block(unsigned threads) {
  if (fibres.size() < threads) fibres.resize(threads);
  for (unsigned i = 0; i < threads; ++i) prepare(fibres[i], i);
  do {
    for (unsigned first = 0; first < threads; first += kLanes) {
      run_warp(first, first + kLanes < threads ? first + kLanes : threads);
    }
  } while (release(0, threads, State::kAtBlockBarrier));
  for (unsigned i = 0; i < threads; ++i) {
    if (fibres[i].state == State::kDone) continue;
    std::fprintf(stderr, "emulated kernel: thread %u waits at a barrier that others never reach\n", i);
    std::abort();
  }
}

inline void run_grid(unsigned x, unsigned y, unsigned threads, std::function<void()> kernel) {
  body = std::move(kernel);
  grid_size = {x, y, 1};
  block_size = {threads, 1, 1};
  for (unsigned by = 0; by < y; ++by) {
    for (unsigned bx = 0; bx < x; ++bx) {
      block_index = {bx, by, 0};
      run_block(threads);
    }
  }
}

template <typename T>
T exchange(T value, unsigned from) {
  unsigned long long* warp = slots[running->thread.x / kLanes];
  std::memcpy(&warp[running->thread.x % kLanes], &value, sizeof(T));
  wait_at(State::kAtWarpBarrier);
  T other;
  std::memcpy(&other, &warp[from], sizeof(T));
  wait_at(State::kAtWarpBarrier);
  return other;
}

}  // namespace emulated

#define threadIdx (emulated::running->thread)
#define blockIdx (emulated::block_index)
#define blockDim (emulated::block_size)
#define gridDim (emulated::grid_size)

inline void __syncthreads() { emulated::wait_at(emulated::State::kAtBlockBarrier); }
inline void __syncwarp() { emulated::wait_at(emulated::State::kAtWarpBarrier); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int step) {
  return emulated::exchange(value, (threadIdx.x % emulated::kLanes) ^ static_cast<unsigned>(step));
}

inline unsigned __ballot_sync(unsigned, bool value) {
  unsigned long long* warp = emulated::slots[threadIdx.x / emulated::kLanes];
  warp[threadIdx.x % emulated::kLanes] = value ? 1 : 0;
  __syncwarp();
  unsigned mask = 0;
  for (unsigned lane = 0; lane < emulated::kLanes; ++lane) mask |= static_cast<unsigned>(warp[lane]) << lane;
  __syncwarp();
  return mask;
}

inline int __popc(unsigned value) { return __builtin_popcount(value); }

template <typename T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to += value;
  return before;
}

template <typename T>
T atomicMax(T* to, T value) {
  const T before = *to;
  if (value > before) *to = value;
  return before;
}

template <typename To, typename From>
To same_bits(From value) {
  To out;
  static_assert(sizeof(To) == sizeof(From), "reinterpretation keeps the size");
  std::memcpy(&out, &value, sizeof(To));
  return out;
}

inline int __float_as_int(float v) { return same_bits<int>(v); }
inline float __int_as_float(int v) { return same_bits<float>(v); }
inline unsigned __float_as_uint(float v) { return same_bits<unsigned>(v); }
inline float __uint_as_float(unsigned v) { return same_bits<float>(v); }
