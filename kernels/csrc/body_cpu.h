// Poses a skinned body on a CPU: joints, points, covariances, limb directions, mixed features, and all of it backwards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "body_math.h"
#include "ellipsoids_cpu.h"

namespace kernels {

constexpr int kPointChunk = 64;

// A body in a pose, or the gradient with respect to one; null pointers are not read.
template <typename T, typename Pointer>
struct PosedBody {
  Pointer joints, points, precisions, limbs;
};

// template + Σ_s dirs[.., s] β_s of one point
template <typename T>
Vec3<T> shaped(const T* rest, const T* dirs, const T* betas, int shapes) {
  return {rest[0] + dot_n(dirs, betas, shapes), rest[1] + dot_n(dirs + shapes, betas, shapes),
          rest[2] + dot_n(dirs + 2 * shapes, betas, shapes)};
}

template <typename T>
void add3(T* to, Vec3<T> v) {
  to[0] += v.x;
  to[1] += v.y;
  to[2] += v.z;
}

// One body: its joints' transforms, and the gradients that gather on them.
template <typename T>
class Skeleton {
 public:
  Mat3<T> local[kMaxJoints], world[kMaxJoints];
  Vec3<T> rest[kMaxJoints], place[kMaxJoints], shift[kMaxJoints];  // a rest point c goes to world c + shift

  // parameters: axis-angles (n_joints, 3), betas, transl
  void pose(const BodyData<T>& body, const T* parameters) {
    const T* betas = parameters + 3 * body.n_joints;
    for (int j = 0; j < body.n_joints; ++j) {
      rest[j] = shaped(body.joints + 3 * j, body.joint_dirs + 3 * j * body.n_shapes, betas, body.n_shapes);
      local[j] = rotation_of(load3(parameters + 3 * j));
      const int parent = body.parents[j];
      world[j] = parent < 0 ? local[j] : world[parent] * local[j];
      place[j] = parent < 0 ? rest[j] : place[parent] + world[parent] * (rest[j] - rest[parent]);
    }
    const Vec3<T> transl = load3(betas + body.n_shapes);
    for (int j = 0; j < body.n_joints; ++j) {
      place[j] = place[j] + transl;
      shift[j] = place[j] - world[j] * rest[j];
    }
  }

  // Gradients with respect to world rotations, shifts and places; betas and transl as they gather.
  struct Gradient {
    Mat3<T> world[kMaxJoints];
    Vec3<T> shift[kMaxJoints], place[kMaxJoints];
    T betas[kMaxShapes];

    void add(const Gradient& other, const BodyData<T>& body) {
      for (int j = 0; j < body.n_joints; ++j) {
        world[j] = world[j] + other.world[j];
        shift[j] = shift[j] + other.shift[j];
        place[j] = place[j] + other.place[j];
      }
      for (int s = 0; s < body.n_shapes; ++s) betas[s] += other.betas[s];
    }
  };

  // Adds to out, as long as the parameters.
  void backward(const BodyData<T>& body, const T* parameters, Gradient& g, T* out) const {
    const int shapes = body.n_shapes;
    T *g_betas = out + 3 * body.n_joints, *g_transl = g_betas + shapes;
    Vec3<T> g_rest[kMaxJoints];
    for (int j = 0; j < body.n_joints; ++j) {
      g.place[j] = g.place[j] + g.shift[j];
      g.world[j] = g.world[j] + T(-1) * outer(g.shift[j], rest[j]);
      g_rest[j] = T(-1) * (transpose(world[j]) * g.shift[j]);
      add3(g_transl, g.place[j]);
    }
    for (int j = body.n_joints - 1; j >= 0; --j) {
      const int parent = body.parents[j];
      Mat3<T> g_local = g.world[j];
      if (parent >= 0) {
        const Vec3<T> back = transpose(world[parent]) * g.place[j];
        g.world[parent] =
            g.world[parent] + g.world[j] * transpose(local[j]) + outer(g.place[j], rest[j] - rest[parent]);
        g.place[parent] = g.place[parent] + g.place[j];
        g_rest[j] = g_rest[j] + back;
        g_rest[parent] = g_rest[parent] - back;
        g_local = transpose(world[parent]) * g.world[j];
      } else {
        g_rest[j] = g_rest[j] + g.place[j];
      }
      add3(out + 3 * j, rotation_backward(load3(parameters + 3 * j), local[j], g_local));
    }
    for (int j = 0; j < body.n_joints; ++j) {
      const T* dirs = body.joint_dirs + 3 * j * shapes;
      const T gradient[3] = {g_rest[j].x, g_rest[j].y, g_rest[j].z};
      for (int c = 0; c < 3; ++c) add_scaled(gradient[c], dirs + c * shapes, g_betas, shapes);
    }
    add_scaled(T(1), g.betas, g_betas, shapes);
  }
};

template <typename T>
class BodyPoser {
 public:
  void forward(const BodyData<T>& body, const T* parameters, int batch, const PosedBody<T, T*>& out, int threads) {
    skeletons_.resize(batch);
    for (int b = 0; b < batch; ++b) {
      skeletons_[b].pose(body, parameters + static_cast<int64_t>(b) * body.parameters());
      write_joints(body, skeletons_[b], b, out);
    }
    for_each_chunk(body, batch, threads, [&](int, int b, int first, int last) {
      const T* betas = parameters + static_cast<int64_t>(b) * body.parameters() + 3 * body.n_joints;
      for (int p = first; p < last; ++p) skin(body, skeletons_[b], betas, b, p, out);
    });
  }

  // Adds dL/dparameters to g_parameters (batch, parameters), for the pose that `forward` was last called with.
  void backward(const BodyData<T>& body, const T* parameters, int batch, const PosedBody<T, const T*>& g,
                T* g_parameters, int threads) {
    const int chunks = chunks_of(body);
    gradients_.resize(static_cast<size_t>(batch) * chunks);
    for_each_chunk(body, batch, threads, [&](int chunk, int b, int first, int last) {
      const T* betas = parameters + static_cast<int64_t>(b) * body.parameters() + 3 * body.n_joints;
      typename Skeleton<T>::Gradient& sum = gradients_[static_cast<size_t>(b) * chunks + chunk];
      sum = {};
      for (int p = first; p < last; ++p) skin_backward(body, skeletons_[b], betas, b, p, g, sum);
    });
    for (int b = 0; b < batch; ++b) {
      typename Skeleton<T>::Gradient& sum = gradients_[static_cast<size_t>(b) * chunks];
      for (int chunk = 1; chunk < chunks; ++chunk) sum.add((&sum)[chunk], body);
      joints_backward(body, skeletons_[b], b, g, sum);
      const int64_t at = static_cast<int64_t>(b) * body.parameters();
      skeletons_[b].backward(body, parameters + at, sum, g_parameters + at);
    }
  }

 private:
  static int chunks_of(const BodyData<T>& body) { return std::max(1, (body.n_points + kPointChunk - 1) / kPointChunk); }

  template <typename Visit>
  static void for_each_chunk(const BodyData<T>& body, int batch, int threads, Visit&& visit) {
    const int chunks = chunks_of(body);
    ThreadPool::instance().run(batch * chunks, threads, [&](int task) {
      const int chunk = task % chunks, first = chunk * kPointChunk;
      visit(chunk, task / chunks, first, std::min(first + kPointChunk, body.n_points));
    });
  }

  static void write_joints(const BodyData<T>& body, const Skeleton<T>& skeleton, int b, const PosedBody<T, T*>& out) {
    for (int j = 0; j < body.n_joints; ++j) {
      const Vec3<T> p = skeleton.place[j];
      T* to = out.joints + 3 * (b * body.n_joints + j);
      to[0] = p.x, to[1] = p.y, to[2] = p.z;
    }
    for (int i = 0; i < body.n_limbs; ++i) {
      const Vec3<T> d = unit_of(skeleton.place[body.limbs[2 * i + 1]] - skeleton.place[body.limbs[2 * i]]);
      T* to = out.limbs + 3 * (b * body.n_limbs + i);
      to[0] = d.x, to[1] = d.y, to[2] = d.z;
    }
  }

  static Vec3<T> rest_of(const BodyData<T>& body, const T* betas, int p) {
    return shaped(body.points + 3 * p, body.point_dirs + 3 * static_cast<int64_t>(p) * body.n_shapes, betas,
                  body.n_shapes);
  }

  static void skin(const BodyData<T>& body, const Skeleton<T>& skeleton, const T* betas, int b, int p,
                   const PosedBody<T, T*>& out) {
    const Vec3<T> rest = rest_of(body, betas, p);
    const bool is_kernel = p < body.n_kernels;
    Vec3<T> place = {0, 0, 0};
    Mat3<T> precision = {};
    const Mat3<T> rest_precision = is_kernel ? load_mat3(body.precisions + 9 * p) : Mat3<T>{};
    for (int i = p * body.n_influences; i < (p + 1) * body.n_influences; ++i) {
      const T w = body.weights[i];
      if (w == 0) continue;
      const int j = body.weight_joints[i];
      place = place + w * (skeleton.world[j] * rest + skeleton.shift[j]);
      if (is_kernel) precision = precision + w * turned(skeleton.world[j], rest_precision);
    }
    T* to = out.points + 3 * (static_cast<int64_t>(b) * body.n_points + p);
    to[0] = place.x, to[1] = place.y, to[2] = place.z;
    if (is_kernel) std::copy_n(precision.m, 9, out.precisions + 9 * (static_cast<int64_t>(b) * body.n_kernels + p));
  }

  static void skin_backward(const BodyData<T>& body, const Skeleton<T>& skeleton, const T* betas, int b, int p,
                            const PosedBody<T, const T*>& g, typename Skeleton<T>::Gradient& sum) {
    const Vec3<T> rest = rest_of(body, betas, p);
    const Vec3<T> g_place = load3(g.points + 3 * (static_cast<int64_t>(b) * body.n_points + p));
    const bool is_kernel = p < body.n_kernels;
    Mat3<T> g_precision = {}, rest_precision = {};
    if (is_kernel) {
      g_precision = full(load_sym3(g.precisions + 9 * (static_cast<int64_t>(b) * body.n_kernels + p)));
      rest_precision = load_mat3(body.precisions + 9 * p);
    }
    Vec3<T> g_rest = {0, 0, 0};
    for (int i = p * body.n_influences; i < (p + 1) * body.n_influences; ++i) {
      const T w = body.weights[i];
      if (w == 0) continue;
      const int j = body.weight_joints[i];
      const Vec3<T> weighted = w * g_place;
      sum.shift[j] = sum.shift[j] + weighted;
      sum.world[j] = sum.world[j] + outer(weighted, rest);
      if (is_kernel) sum.world[j] = sum.world[j] + (2 * w) * (g_precision * skeleton.world[j] * rest_precision);
      g_rest = g_rest + transpose(skeleton.world[j]) * weighted;
    }
    const T* dirs = body.point_dirs + 3 * static_cast<int64_t>(p) * body.n_shapes;
    const T gradient[3] = {g_rest.x, g_rest.y, g_rest.z};
    for (int c = 0; c < 3; ++c) add_scaled(gradient[c], dirs + c * body.n_shapes, sum.betas, body.n_shapes);
  }

  static void joints_backward(const BodyData<T>& body, const Skeleton<T>& skeleton, int b,
                              const PosedBody<T, const T*>& g, typename Skeleton<T>::Gradient& sum) {
    if (g.joints != nullptr) {
      for (int j = 0; j < body.n_joints; ++j) {
        sum.place[j] = sum.place[j] + load3(g.joints + 3 * (b * body.n_joints + j));
      }
    }
    for (int i = 0; i < body.n_limbs; ++i) {
      const int from = body.limbs[2 * i], to = body.limbs[2 * i + 1];
      const Vec3<T> along = skeleton.place[to] - skeleton.place[from];
      const Vec3<T> d = unit_backward(along, load3(g.limbs + 3 * (b * body.n_limbs + i)));
      sum.place[to] = sum.place[to] + d;
      sum.place[from] = sum.place[from] - d;
    }
  }

  std::vector<Skeleton<T>> skeletons_;
  std::vector<typename Skeleton<T>::Gradient> gradients_;
};

// φ_k = Σ_o p(o | limb of k) φ_ko for bodies whose limbs (batch, n_limbs, 3) are given.
template <typename T>
class FeatureMixer {
 public:
  void forward(const BodyData<T>& body, const FeatureBank<T>& bank, const T* limbs, int batch, T* features,
               int threads) {
    const int o_count = bank.n_orientations;
    p_.resize(static_cast<size_t>(batch) * body.n_limbs * o_count);
    for (int i = 0; i < batch * body.n_limbs; ++i) {
      orientation_weights(load3(limbs + 3 * i), bank.orientations, o_count, bank.kappa, p_.data() + i * o_count);
    }
    parallel_chunks(batch * body.n_kernels, 64, threads, [&](int, int first, int last) {
      for (int i = first; i < last; ++i) {
        const int b = i / body.n_kernels, k = i % body.n_kernels;
        const T* p = p_.data() + (b * body.n_limbs + bank.limb[k]) * o_count;
        const T* from = bank.features + static_cast<int64_t>(k) * o_count * bank.channels;
        T* to = features + static_cast<int64_t>(i) * bank.channels;
        std::fill_n(to, bank.channels, T(0));
        for (int o = 0; o < o_count; ++o) add_scaled(p[o], from + o * bank.channels, to, bank.channels);
      }
    });
  }

  // Writes dL/dlimbs (batch, n_limbs, 3), for what `forward` was last called with.
  void backward(const BodyData<T>& body, const FeatureBank<T>& bank, const T* limbs, int batch, const T* g_features,
                T* g_limbs, int threads) {
    const int o_count = bank.n_orientations;
    g_kernel_.resize(static_cast<size_t>(batch) * body.n_kernels * o_count);
    parallel_chunks(batch * body.n_kernels, 64, threads, [&](int, int first, int last) {
      for (int64_t i = first; i < last; ++i) {
        const T* from = bank.features + i % body.n_kernels * o_count * bank.channels;
        for (int o = 0; o < o_count; ++o) {
          g_kernel_[i * o_count + o] = dot_n(g_features + i * bank.channels, from + o * bank.channels, bank.channels);
        }
      }
    });
    g_p_.assign(p_.size(), T(0));
    for (int i = 0; i < batch * body.n_kernels; ++i) {
      const int at = (i / body.n_kernels * body.n_limbs + bank.limb[i % body.n_kernels]) * o_count;
      for (int o = 0; o < o_count; ++o) g_p_[at + o] += g_kernel_[static_cast<size_t>(i) * o_count + o];
    }
    for (int i = 0; i < batch * body.n_limbs; ++i) {
      const Vec3<T> g = orientation_backward(load3(limbs + 3 * i), bank.orientations, o_count, bank.kappa,
                                             p_.data() + i * o_count, g_p_.data() + i * o_count);
      T* to = g_limbs + 3 * i;
      to[0] = g.x, to[1] = g.y, to[2] = g.z;
    }
  }

 private:
  std::vector<T> p_, g_p_, g_kernel_;
};

}  // namespace kernels
