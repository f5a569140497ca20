// The ellipsoid renderer's functions as Python calls them, in float and double.

#include "ellipsoids_cpu.h"

#include <limits>

namespace kernels {
namespace {

template <typename T>
EllipsoidRenderer<T>& renderer() {
  static thread_local EllipsoidRenderer<T> mine;
  return mine;
}

// What a rendering gives out; index and weight hold the `kept` strongest kernels of each pixel, -1 and 0 beyond the
// last.
template <typename T>
struct RenderOutputs {
  T *features, *coverage, *depth, *weight;
  int* index;
  int kept;
};

template <typename T>
void write_strongest(const PixelWorker<T>& worker, int count, const RenderOutputs<T>& out, int64_t at) {
  int order[kMaxPerPixel];
  const int n = worker.pixel.count, kept = std::min(n, out.kept);
  for (int i = 0; i < n; ++i) order[i] = i;
  std::partial_sort(order, order + kept, order + n, [&](int i, int j) {
    const T wi = worker.pixel.w[i], wj = worker.pixel.w[j];
    return wi != wj ? wi > wj : worker.pixel.local[i] < worker.pixel.local[j];
  });
  for (int i = 0; i < out.kept; ++i) {
    out.index[at * out.kept + i] = i < kept ? worker.tile.members[worker.pixel.local[order[i]]] % count : -1;
    out.weight[at * out.kept + i] = i < kept ? worker.pixel.w[order[i]] : T(0);
  }
}

template <typename T>
void write_pixel(const EllipsoidScene<T>& scene, PixelWorker<T>& worker, const RenderOutputs<T>& out, int64_t at) {
  worker.compose(scene);
  std::copy_n(worker.feature, scene.channels, out.features + at * scene.channels);
  out.coverage[at] = worker.pixel.coverage(scene.tau);
  T along = 0, weight = 0;
  for (int i = 0; i < worker.pixel.count; ++i) {
    along += worker.pixel.w[i] * worker.pixel.l[i];
    weight += worker.pixel.w[i];
  }
  out.depth[at] = along / weight * worker.ray.z;
  write_strongest(worker, scene.count, out, at);
}

template <typename T>
void render(const EllipsoidScene<T>& scene, const RenderOutputs<T>& out, int threads) {
  EllipsoidRenderer<T>& work = renderer<T>();
  work.bins.build(scene, threads);
  auto full = [&](PixelWorker<T>& worker, int, int64_t at, int, T*) {
    worker.pixel.template transmit<false>(scene.tau);
    write_pixel(scene, worker, out, at);
  };
  auto empty = [&](int, int64_t at, int) {
    std::fill_n(out.features + at * scene.channels, scene.channels, T(0));
    out.coverage[at] = T(0);
    out.depth[at] = std::numeric_limits<T>::infinity();
    std::fill_n(out.index + at * out.kept, out.kept, -1);
    std::fill_n(out.weight + at * out.kept, out.kept, T(0));
  };
  work.for_each_pixel(scene, false, threads, full, empty);
}

template <typename T>
void render_backward(const EllipsoidScene<T>& scene, const T* g_features, const T* g_coverage,
                     const EllipsoidGradients<T>& out, int threads) {
  EllipsoidRenderer<T>& work = renderer<T>();
  work.bins.build(scene, threads);
  auto full = [&](PixelWorker<T>& worker, int, int64_t at, int, T* slots) {
    worker.pixel.template transmit<true>(scene.tau);
    std::copy_n(g_features + at * scene.channels, scene.channels, worker.g_feature);
    worker.backward(scene, g_coverage[at], slots);
  };
  work.for_each_pixel(scene, true, threads, full, [](int, int64_t, int) {});
  work.reduce(scene, out, threads);
}

}  // namespace

#define KERNELS_ELLIPSOID_ENTRY_POINTS(T, suffix)                                                                     \
  extern "C" void ellipsoids_render_##suffix(const EllipsoidScene<T>* scene, const RenderOutputs<T>* out,             \
                                             int threads) {                                                           \
    render(*scene, *out, threads);                                                                                    \
  }                                                                                                                   \
  extern "C" void ellipsoids_render_backward_##suffix(const EllipsoidScene<T>* scene, const T* g_features,            \
                                                      const T* g_coverage, const EllipsoidGradients<T>* out,          \
                                                      int threads) {                                                  \
    render_backward(*scene, g_features, g_coverage, *out, threads);                                                   \
  }                                                                                                                   \
  extern "C" void ellipsoids_likelihood_##suffix(const EllipsoidScene<T>* scene, const EllipsoidObservation<T>* seen, \
                                                 T* nll, T* occlusion, const EllipsoidGradients<T>* gradients,        \
                                                 int threads) {                                                       \
    renderer<T>().likelihood(*scene, *seen, nll, occlusion, gradients, threads);                                      \
  }

KERNELS_ELLIPSOID_ENTRY_POINTS(float, f32)
KERNELS_ELLIPSOID_ENTRY_POINTS(double, f64)

}  // namespace kernels
