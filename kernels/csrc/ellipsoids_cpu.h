// Renders ellipsoids on a CPU, tile by tile. A tile lists the kernels that can reach it; a pixel picks the few that do,
// works out their mutual transmittance, and what it finds stays in the cache for the backward pass: no feature map is
// written. Gradients go to one slot for each pair of tile and kernel and are summed in a fixed order afterwards, so
// that results do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "ellipsoid_math.h"
#include "thread_pool.h"

namespace kernels {

constexpr int kTileSize = 8;
constexpr int kVector = 16;  // arrays are padded to this many entries
constexpr int kMaxPerPixel = 256;
constexpr int kMaxFeature = 128;
constexpr int kExtras = 11;  // of a slot, besides the feature's gradient: centre 3, precision 6, weight, support

inline int padded(int n) { return (n + kVector - 1) / kVector * kVector; }

// B sets of K ellipsoids before B cameras that make maps of H × W pixels.
template <typename T>
struct EllipsoidScene {
  const T *centres, *precisions, *features, *cameras;
  int batch, count, channels, height, width;
  T tau, threshold, near;
  int max_per_pixel;
};

// N observed maps; body b is compared with map index[b].
template <typename T>
struct EllipsoidObservation {
  const T *features, *base, *weight, *mask;
  const int* index;
  LikelihoodSettings<T> settings;

  PixelTerms<T> terms(int64_t at) const { return {base[at], weight[at], mask[at]}; }
};

// Null pointers are not filled.
template <typename T>
struct EllipsoidGradients {
  T *centres, *precisions, *features, *weight, *support;
};

template <typename T>
struct EllipsoidBins {
  std::vector<PixelBox> boxes;
  std::vector<int> start;         // of a tile's members; tiles are (body, row, column)
  std::vector<int> members;       // kernel of each slot, ascending within a tile
  std::vector<int> kernel_start;  // of a kernel's slots in `slots`
  std::vector<int> slots;
  std::vector<int> order;  // tiles, the fullest first
  int tiles_x = 0, tiles_y = 0;

  void build(const EllipsoidScene<T>& scene, int threads) {
    tiles_x = (scene.width + kTileSize - 1) / kTileSize;
    tiles_y = (scene.height + kTileSize - 1) / kTileSize;
    bound(scene, threads);
    count(scene);
    fill(scene);
    order.resize(tiles(scene));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return size(a) > size(b); });
  }

  int tiles(const EllipsoidScene<T>& scene) const { return scene.batch * tiles_x * tiles_y; }
  int size(int tile) const { return start[tile + 1] - start[tile]; }

 private:
  void bound(const EllipsoidScene<T>& scene, int threads) {
    const int total = scene.batch * scene.count;
    boxes.resize(total);
    const T limit = -std::log(scene.threshold);
    parallel_chunks(total, 512, threads, [&](int, int first, int last) {
      for (int i = first; i < last; ++i) {
        const T* k = scene.cameras + 4 * (i / scene.count);
        boxes[i] = kernel_box(Pinhole<T>{k[0], k[1], k[2], k[3]}, load3(scene.centres + 3 * i),
                              load_sym3(scene.precisions + 9 * i), scene.near, limit, scene.width, scene.height);
      }
    });
  }

  template <typename Visit>
  void for_each_tile(const EllipsoidScene<T>& scene, int kernel, Visit&& visit) const {
    const PixelBox& box = boxes[kernel];
    if (box.x0 >= box.x1 || box.y0 >= box.y1) return;
    const int body = kernel / scene.count;
    for (int y = box.y0 / kTileSize; y <= (box.y1 - 1) / kTileSize; ++y) {
      for (int x = box.x0 / kTileSize; x <= (box.x1 - 1) / kTileSize; ++x) visit((body * tiles_y + y) * tiles_x + x);
    }
  }

  void count(const EllipsoidScene<T>& scene) {
    const int total = scene.batch * scene.count;
    start.assign(tiles(scene) + 1, 0);
    kernel_start.assign(total + 1, 0);
    for (int i = 0; i < total; ++i) {
      for_each_tile(scene, i, [&](int tile) {
        ++start[tile + 1];
        ++kernel_start[i + 1];
      });
    }
    for (size_t i = 1; i < start.size(); ++i) start[i] += start[i - 1];
    for (size_t i = 1; i < kernel_start.size(); ++i) kernel_start[i] += kernel_start[i - 1];
  }

  void fill(const EllipsoidScene<T>& scene) {
    members.resize(start.back());
    slots.resize(start.back());
    cursor_.assign(start.begin(), start.end());
    for (int i = 0; i < scene.batch * scene.count; ++i) {
      int slot = kernel_start[i];
      for_each_tile(scene, i, [&](int tile) {
        slots[slot++] = cursor_[tile];
        members[cursor_[tile]++] = i;
      });
    }
  }

  std::vector<int> cursor_;
};

// The kernels of a tile as separate arrays, so that all of them meet a ray by vector instructions.
template <typename T>
struct TileKernels {
  int count = 0;
  const int* members = nullptr;
  std::vector<T> data;
  std::vector<T> response;

  void load(const EllipsoidScene<T>& scene, const int* list, int n) {
    count = n;
    members = list;
    const int stride = padded(n);
    data.assign(9 * static_cast<size_t>(stride), T(0));
    response.resize(3 * static_cast<size_t>(stride));
    for (int i = 0; i < n; ++i) {
      for (int c = 0; c < 3; ++c) data[c * stride + i] = scene.centres[3 * static_cast<int64_t>(list[i]) + c];
      const Sym3<T> p = load_sym3(scene.precisions + 9 * static_cast<int64_t>(list[i]));
      const T entries[6] = {p.xx, p.xy, p.xz, p.yy, p.yz, p.zz};
      for (int c = 0; c < 6; ++c) data[(3 + c) * stride + i] = entries[c];
    }
  }

  Vec3<T> centre(int i) const {
    const int s = padded(count);
    return {data[i], data[s + i], data[2 * s + i]};
  }

  Sym3<T> precision(int i) const {
    const T* p = data.data() + i;
    const int s = padded(count);
    return {p[3 * s], p[4 * s], p[5 * s], p[6 * s], p[7 * s], p[8 * s]};
  }

  void meet(Vec3<T> d) {
    const int s = padded(count), n = count;
    const T* p = data.data();
    T *a = response.data(), *l = a + s, *q = l + s;
#pragma omp simd
    for (int i = 0; i < n; ++i) {
      const RayResponse<T> r =
          ray_response(d, Vec3<T>{p[i], p[s + i], p[2 * s + i]},
                       Sym3<T>{p[3 * s + i], p[4 * s + i], p[5 * s + i], p[6 * s + i], p[7 * s + i], p[8 * s + i]});
      a[i] = r.a;
      l[i] = r.l;
      q[i] = r.q;
    }
  }

  RayResponse<T> at(int i) const {
    const int s = padded(count);
    return {response[i], response[s + i], response[2 * s + i]};
  }
};

// What contributes to one pixel. Arrays are padded with kernels of no weight.
template <typename T>
struct PixelKernels {
  int count = 0;
  int local[kMaxPerPixel];  // position in the tile's list
  alignas(64) T a[kMaxPerPixel], l[kMaxPerPixel], e[kMaxPerPixel], root_a[kMaxPerPixel], w[kMaxPerPixel];
  alignas(64) T hidden[kMaxPerPixel];  // Σ_m e_m Φ: how much lies before each kernel
  T total = 0;                         // Σ e
  // Φ(√a_k (l_m − l_k)) and its density for each pair, row k: from forward to backward.
  alignas(64) T cdf[kMaxPerPixel * kMaxPerPixel], pdf[kMaxPerPixel * kMaxPerPixel];

  void select(const TileKernels<T>& tile, T limit, int most) {
    picked_.clear();
    const int s = padded(tile.count);
    const T *l_at = tile.response.data() + s, *q_at = l_at + s;
    for (int i = 0; i < tile.count; ++i) {
      if (q_at[i] < limit && l_at[i] > 0) picked_.push_back(i);
    }
    if (static_cast<int>(picked_.size()) > most) {
      std::stable_sort(picked_.begin(), picked_.end(), [&](int i, int j) { return l_at[i] < l_at[j]; });
      picked_.resize(most);
    }
    count = static_cast<int>(picked_.size());
    for (int i = 0; i < count; ++i) {
      const RayResponse<T> r = tile.at(picked_[i]);
      local[i] = picked_[i];
      a[i] = r.a;
      l[i] = r.l;
      e[i] = exp_of(-r.q);
      root_a[i] = std::sqrt(r.a);
    }
    for (int i = count; i < padded(count); ++i) a[i] = l[i] = e[i] = root_a[i] = T(0);
  }

  // Fills w, hidden, total; keeps the pairs if a backward pass will follow.
  template <bool kKeepPairs>
  void transmit(T tau) {
    const int n = count, stride = padded(n);
    std::fill_n(hidden, stride, T(0));
    total = 0;
    for (int k = 0; k < n; ++k) {
      const T root = root_a[k], depth = l[k], weight = e[k];
      T *cdf_row = cdf + k * stride, *pdf_row = pdf + k * stride;
#pragma omp simd
      for (int m = 0; m < stride; ++m) {
        const NormalCdf<T> front = normal_cdf(root * (l[m] - depth));
        hidden[m] += weight * front.cdf;
        if (kKeepPairs) {
          cdf_row[m] = front.cdf;
          pdf_row[m] = front.pdf;
        }
      }
      total += weight;
    }
#pragma omp simd
    for (int m = 0; m < stride; ++m) w[m] = exp_of(tau * (T(0.5) - hidden[m])) * e[m];
  }

  T coverage(T tau) const { return T(1) - exp_of(-tau * total); }

  // From dL/dw and dL/dcoverage to dL/d(a, l, q) of each kernel.
  void backward(T tau, const T* g_w, T g_coverage, RayResponse<T>* g) const {
    const int n = count, stride = padded(n);
    alignas(64) T g_hidden[kMaxPerPixel], g_l[kMaxPerPixel];
    for (int m = 0; m < stride; ++m) {
      g_hidden[m] = m < n ? -tau * w[m] * g_w[m] : T(0);
      g_l[m] = T(0);
    }
    const T g_total = g_coverage * tau * exp_of(-tau * total);
    for (int k = 0; k < n; ++k) {
      const T *cdf_row = cdf + k * stride, *pdf_row = pdf + k * stride;
      const T scale = e[k] * root_a[k], depth = l[k];
      T g_e = 0, density = 0, moment = 0;
#pragma omp simd reduction(+ : g_e, density, moment)
      for (int m = 0; m < stride; ++m) {
        const T weighted = g_hidden[m] * pdf_row[m];
        g_e += g_hidden[m] * cdf_row[m];
        density += weighted;
        moment += weighted * (l[m] - depth);
        g_l[m] += scale * weighted;
      }
      g_l[k] -= scale * density;
      g[k].a = T(0.5) * e[k] / root_a[k] * moment;
      g[k].q = -(g_w[k] * w[k] + e[k] * (g_e + g_total));
    }
    for (int k = 0; k < n; ++k) g[k].l = g_l[k];
  }

 private:
  std::vector<int> picked_;
};

template <typename T>
T dot_n(const T* a, const T* b, int n) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <typename T>
void add_scaled(T scale, const T* from, T* to, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) to[i] += scale * from[i];
}

// The work of one tile's pixels; one of these belongs to each thread.
template <typename T>
struct PixelWorker {
  TileKernels<T> tile;
  PixelKernels<T> pixel;
  alignas(64) T feature[kMaxFeature], g_feature[kMaxFeature], g_w[kMaxPerPixel];
  RayResponse<T> g_response[kMaxPerPixel];
  Vec3<T> ray;

  static PixelWorker& mine() {
    static thread_local auto worker = std::make_unique<PixelWorker>();
    return *worker;
  }

  // Returns how many kernels contribute.
  int look(const EllipsoidScene<T>& scene, int body, int x, int y) {
    const T* k = scene.cameras + 4 * body;
    ray = unit_ray(Pinhole<T>{k[0], k[1], k[2], k[3]}, x, y);
    tile.meet(ray);
    pixel.select(tile, -std::log(scene.threshold), std::min(scene.max_per_pixel, kMaxPerPixel));
    return pixel.count;
  }

  const T* feature_of(const EllipsoidScene<T>& scene, int i) const {
    return scene.features + static_cast<int64_t>(tile.members[pixel.local[i]]) * scene.channels;
  }

  void compose(const EllipsoidScene<T>& scene) {
    std::fill_n(feature, scene.channels, T(0));
    for (int i = 0; i < pixel.count; ++i) add_scaled(pixel.w[i], feature_of(scene, i), feature, scene.channels);
  }

  PixelLikelihood<T> compare(const EllipsoidScene<T>& scene, const EllipsoidObservation<T>& seen, int64_t at,
                             bool with_gradient) {
    const T* observed = seen.features + at * scene.channels;
    const PixelTerms<T> terms = seen.terms(at);
    compose(scene);
    const T length = std::sqrt(dot_n(feature, feature, scene.channels) + kShortestFeature<T>);
    const T cosine = dot_n(observed, feature, scene.channels) / length;
    const PixelLikelihood<T> found = pixel_likelihood(seen.settings, terms, cosine, pixel.coverage(scene.tau));
    if (with_gradient) {
      const CosineSlope<T> slope = cosine_slope(found.g_cosine, cosine, length);
      for (int c = 0; c < scene.channels; ++c) g_feature[c] = slope.along * observed[c] - slope.back * feature[c];
    }
    return found;
  }

  // Adds the gradients that follow from g_feature and dL/dcoverage to the slots of the tile's kernels.
  void backward(const EllipsoidScene<T>& scene, T g_coverage, T* slots) {
    const int stride = scene.channels + kExtras, n = pixel.count;
    for (int i = 0; i < n; ++i) {
      g_w[i] = dot_n(g_feature, feature_of(scene, i), scene.channels);
      add_scaled(pixel.w[i], g_feature, slots + static_cast<int64_t>(pixel.local[i]) * stride + kExtras,
                 scene.channels);
    }
    pixel.backward(scene.tau, g_w, g_coverage, g_response);
    for (int i = 0; i < n; ++i) {
      const int local = pixel.local[i];
      const KernelGradient<T> g =
          ray_response_backward(ray, tile.centre(local), tile.precision(local), tile.at(local), g_response[i]);
      T* slot = slots + static_cast<int64_t>(local) * stride;
      const T values[9] = {g.centre.x,     g.centre.y,     g.centre.z,     g.precision.xx, g.precision.xy,
                           g.precision.xz, g.precision.yy, g.precision.yz, g.precision.zz};
      for (int c = 0; c < 9; ++c) slot[c] += values[c];
    }
  }

  void add_weights(int channels, T visible, T* slots) {
    for (int i = 0; i < pixel.count; ++i) {
      T* slot = slots + static_cast<int64_t>(pixel.local[i]) * (channels + kExtras);
      slot[9] += pixel.w[i];
      slot[10] += visible * pixel.w[i];
    }
  }
};

// Keeps its buffers from call to call.
template <typename T>
class EllipsoidRenderer {
 public:
  EllipsoidBins<T> bins;

  // Calls pixel(worker, body, x, y, at, tile, slots) for each pixel of each tile that a kernel may reach, and
  // empty(body, x, y, at) for those of the others. `at` counts pixels over all bodies.
  template <typename Pixel, typename Empty>
  void for_each_pixel(const EllipsoidScene<T>& scene, bool with_slots, int threads, Pixel&& pixel, Empty&& empty) {
    const int stride = scene.channels + kExtras;
    if (with_slots) slot_data_.resize(bins.members.size() * stride);
    ThreadPool::instance().run(bins.tiles(scene), threads, [&](int task) {
      const int tile = bins.order[task], n = bins.size(tile);
      const int body = tile / (bins.tiles_x * bins.tiles_y);
      const int x0 = tile % bins.tiles_x * kTileSize, y0 = tile / bins.tiles_x % bins.tiles_y * kTileSize;
      PixelWorker<T>& worker = PixelWorker<T>::mine();
      T* slots = nullptr;
      if (with_slots) {
        slots = slot_data_.data() + static_cast<int64_t>(bins.start[tile]) * stride;
        std::fill_n(slots, static_cast<int64_t>(n) * stride, T(0));
      }
      if (n > 0) worker.tile.load(scene, bins.members.data() + bins.start[tile], n);
      for (int y = y0; y < std::min(y0 + kTileSize, scene.height); ++y) {
        for (int x = x0; x < std::min(x0 + kTileSize, scene.width); ++x) {
          const int64_t at = (static_cast<int64_t>(body) * scene.height + y) * scene.width + x;
          if (n > 0 && worker.look(scene, body, x, y) > 0) {
            pixel(worker, body, at, tile, slots);
          } else {
            empty(body, at, tile);
          }
        }
      }
    });
  }

  // Sums the slots of each kernel, tile by tile in a fixed order.
  void reduce(const EllipsoidScene<T>& scene, const EllipsoidGradients<T>& out, int threads) const {
    const int channels = scene.channels, stride = channels + kExtras;
    parallel_chunks(scene.batch * scene.count, 64, threads, [&](int, int first, int last) {
      alignas(64) T sum[kMaxFeature + kExtras];
      for (int k = first; k < last; ++k) {
        std::fill_n(sum, stride, T(0));
        for (int s = bins.kernel_start[k]; s < bins.kernel_start[k + 1]; ++s) {
          add_scaled(T(1), slot_data_.data() + static_cast<int64_t>(bins.slots[s]) * stride, sum, stride);
        }
        const int64_t at = k;
        std::copy_n(sum, 3, out.centres + 3 * at);
        store_sym3(Sym3<T>{sum[3], sum[4], sum[5], sum[6], sum[7], sum[8]}, out.precisions + 9 * at);
        std::copy_n(sum + kExtras, channels, out.features + channels * at);
        if (out.weight != nullptr) out.weight[at] = sum[9];
        if (out.support != nullptr) out.support[at] = sum[10];
      }
    });
  }

  // Negative log-likelihood (B), occlusion posterior (B, H, W; 0 where nothing is drawn; may be null); gradients too if
  // `gradients` is given.
  void likelihood(const EllipsoidScene<T>& scene, const EllipsoidObservation<T>& seen, T* nll, T* occlusion,
                  const EllipsoidGradients<T>* gradients, int threads) {
    bins.build(scene, threads);
    tile_nll_.assign(bins.tiles(scene), 0.0);
    const int64_t area = static_cast<int64_t>(scene.height) * scene.width;
    auto seen_at = [&](int body, int64_t at) { return seen.index[body] * area + at % area; };
    auto full = [&](PixelWorker<T>& worker, int body, int64_t at, int tile, T* slots) {
      if (gradients != nullptr) {
        worker.pixel.template transmit<true>(scene.tau);
      } else {
        worker.pixel.template transmit<false>(scene.tau);
      }
      const PixelLikelihood<T> found = worker.compare(scene, seen, seen_at(body, at), gradients != nullptr);
      tile_nll_[tile] += found.nll;
      if (occlusion != nullptr) occlusion[at] = found.occlusion;
      if (gradients == nullptr) return;
      worker.backward(scene, found.g_coverage, slots);
      worker.add_weights(scene.channels, T(1) - found.occlusion, slots);
    };
    auto empty = [&](int body, int64_t at, int tile) {
      const int64_t o = seen_at(body, at);
      tile_nll_[tile] += empty_pixel_nll(seen.settings, seen.terms(o));
      if (occlusion != nullptr) occlusion[at] = T(0);
    };
    for_each_pixel(scene, gradients != nullptr, threads, full, empty);
    if (gradients != nullptr) reduce(scene, *gradients, threads);
    const int tiles = bins.tiles_x * bins.tiles_y;
    for (int body = 0; body < scene.batch; ++body) {
      double sum = 0;
      for (int tile = 0; tile < tiles; ++tile) sum += tile_nll_[body * tiles + tile];
      nll[body] = static_cast<T>(sum);
    }
  }

 private:
  std::vector<T> slot_data_;
  std::vector<double> tile_nll_;
};

}  // namespace kernels
