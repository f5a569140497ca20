// A pool of threads of our own: torch brings its own copy of an OpenMP runtime, and two of them in one process fight
// for the cores. Tasks are claimed in any order, so callers make results independent of the order (own slots, summed
// later).
#pragma once

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace kernels {

inline void cpu_relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

class ThreadPool {
 public:
  // The process's pool; a forked child, which inherits no threads, gets a new one. Never destroyed: its threads may
  // outlive static destructors.
  static ThreadPool& instance() {
    static std::mutex mutex;
    static ThreadPool* pool = nullptr;
    static pid_t owner = 0;
    std::lock_guard<std::mutex> lock(mutex);
    if (pool == nullptr || owner != getpid()) {
      pool = new ThreadPool();
      owner = getpid();
    }
    return *pool;
  }

  // Calls body(task) for every task in [0, tasks) on at most `threads` threads, the caller's included. Returns when all
  // are done. A call while another one is running works alone in its own thread.
  template <typename Body>
  void run(int tasks, int threads, Body&& body) {
    if (threads <= 1 || tasks <= 1 || !busy_.try_lock()) {
      for (int task = 0; task < tasks; ++task) body(task);
      return;
    }
    std::lock_guard<std::mutex> busy(busy_, std::adopt_lock);
    publish(tasks, min_int(threads, tasks) - 1,
            {[](void* context, int task) { (*static_cast<std::remove_reference_t<Body>*>(context))(task); }, &body});
    work(job_);
    retire();
  }

 private:
  struct Job {
    void (*call)(void*, int);
    void* context;
  };

  static int min_int(int a, int b) { return a < b ? a : b; }

  void publish(int tasks, int helpers, Job job) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (; workers_ < helpers; ++workers_) std::thread([this] { serve(); }).detach();
    job_ = job;
    tasks_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    tickets_ = helpers;
    generation_.fetch_add(1, std::memory_order_release);
    if (sleepers_ > 0) wake_.notify_all();
  }

  void work(Job job) {
    for (int task = next_.fetch_add(1); task < tasks_; task = next_.fetch_add(1)) job.call(job.context, task);
  }

  // A helper that has not woken yet is not waited for: its ticket is taken back.
  void retire() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      tickets_ = 0;
    }
    while (active_.load(std::memory_order_acquire) > 0) cpu_relax();
  }

  void serve() {
    unsigned seen = 0;
    for (;;) {
      await_job(seen);
      Job job;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        seen = generation_.load(std::memory_order_relaxed);
        if (tickets_ == 0) continue;
        --tickets_;
        active_.fetch_add(1, std::memory_order_relaxed);
        job = job_;
      }
      work(job);
      active_.fetch_sub(1, std::memory_order_release);
    }
  }

  // The fitting loop starts a job every few tens of microseconds, less than a sleeping thread takes to wake: spin
  // first.
  void await_job(unsigned seen) {
    constexpr int kSpins = 1000;
    for (int i = 0; i < kSpins; ++i) {
      if (generation_.load(std::memory_order_acquire) != seen) return;
      cpu_relax();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    ++sleepers_;
    wake_.wait(lock, [&] { return generation_.load(std::memory_order_relaxed) != seen; });
    --sleepers_;
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> next_{0}, active_{0};
  Job job_{};
  int tasks_ = 0, tickets_ = 0, workers_ = 0, sleepers_ = 0;
};

// Splits [0, count) into fixed chunks, so that sums over a chunk do not depend on the number of threads.
template <typename Body>
void parallel_chunks(int count, int chunk, int threads, Body&& body) {
  const int chunks = (count + chunk - 1) / chunk;
  auto task = [&](int i) { body(i, i * chunk, count < (i + 1) * chunk ? count : (i + 1) * chunk); };
  ThreadPool::instance().run(chunks, threads, task);
}

}  // namespace kernels
