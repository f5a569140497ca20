// The body step's kernels: pose, skin, mix features; backwards; the other terms of the loss; Adam. Together with the
// ellipsoids' kernels they make one step, launched one after the other on a stream without waiting for the host.

#include "body_math.h"
#include "cuda_common.cuh"

namespace kernels {

// Joints' transforms: (batch, n_joints) of 3 × 3 rotations and of vectors.
struct CudaSkeleton {
  float *world, *local, *rest, *shift;
};

struct PoseArguments {
  BodyData<float> body;
  CudaSkeleton skeleton;
  const float* parameters;
  float *joints, *points, *precisions, *limbs;
};

struct MixArguments {
  BodyData<float> body;
  FeatureBank<float> bank;
  const float *limbs, *g_features;
  float *features, *g_p, *g_limbs;  // g_p (batch, n_limbs, n_orientations), cleared to 0
};

struct PoseBackwardArguments {
  BodyData<float> body;
  CudaSkeleton skeleton;
  const float *parameters, *joints, *g_joints, *g_points, *g_precisions, *g_limbs;  // g_joints may be null
  float *g_world, *g_shift, *g_place, *g_betas;                                     // (batch, n_joints) …, cleared to 0
  float* gradient;                                                                  // (batch, parameters)
};

struct TermsArguments {
  BodyData<float> body;
  const float *parameters, *points, *cameras, *targets, *confidence, *linear_matrix, *linear_target;
  float *residual, *loss, *g_points, *gradient;
  int linear_rows;
  float keypoint_weight, keypoint_sigma, near;
};

struct AdamArguments {
  const float *units, *gradient, *loss;
  float *parameters, *best, *best_loss, *losses, *mean, *square, *along;
  int count, step, columns;  // parameters of a body; column of `losses`, and their number
  AdamSettings<float> settings;
  float correction1, correction2;
  int update;
};

constexpr int kBodyThreads = 64;  // of a block that works on joints

KERNELS_D Vec3<float> shaped_point(const float* rest, const float* dirs, const float* betas, int shapes) {
  Vec3<float> p = load3(rest);
  for (int s = 0; s < shapes; ++s) {
    p = p + Vec3<float>{dirs[s] * betas[s], dirs[shapes + s] * betas[s], dirs[2 * shapes + s] * betas[s]};
  }
  return p;
}

KERNELS_D void store3(float* to, Vec3<float> v) {
  to[0] = v.x;
  to[1] = v.y;
  to[2] = v.z;
}

KERNELS_D void store_mat3(float* to, const Mat3<float>& a) {
  for (int i = 0; i < 9; ++i) to[i] = a.m[i];
}

KERNELS_D void atomic_add3(float* to, Vec3<float> v) {
  atomicAdd(to, v.x);
  atomicAdd(to + 1, v.y);
  atomicAdd(to + 2, v.z);
}

KERNELS_D void atomic_add_mat3(float* to, const Mat3<float>& a) {
  for (int i = 0; i < 9; ++i) atomicAdd(to + i, a.m[i]);
}

KERNELS_D int depth_of(const BodyData<float>& body, int joint) {
  int depth = 0;
  for (int j = joint; body.parents[j] >= 0; j = body.parents[j]) ++depth;
  return depth;
}

// A block to a body, a thread to a joint; parents before children, level by level.
extern "C" __global__ void body_pose(PoseArguments p) {
  const BodyData<float>& body = p.body;
  const int b = blockIdx.x, j = threadIdx.x;
  const float* parameters = p.parameters + b * body.parameters();
  const float* betas = parameters + 3 * body.n_joints;
  const bool mine = j < body.n_joints;
  const int at = b * body.n_joints + j, depth = mine ? depth_of(body, j) : -1;
  const int parent = mine ? body.parents[j] : -1, above = b * body.n_joints + parent;
  Mat3<float> local = {};
  Vec3<float> rest = {0, 0, 0};
  if (mine) {
    rest = shaped_point(body.joints + 3 * j, body.joint_dirs + 3 * j * body.n_shapes, betas, body.n_shapes);
    local = rotation_of(load3(parameters + 3 * j));
    store_mat3(p.skeleton.local + 9 * at, local);
    store3(p.skeleton.rest + 3 * at, rest);
  }
  __syncthreads();
  for (int level = 0; level < body.n_joints; ++level) {
    if (depth == level) {
      Mat3<float> world = local;
      Vec3<float> place = rest + load3(betas + body.n_shapes);
      if (parent >= 0) {
        const Mat3<float> turn = load_mat3(p.skeleton.world + 9 * above);
        world = turn * local;
        place = load3(p.joints + 3 * above) + turn * (rest - load3(p.skeleton.rest + 3 * above));
      }
      store_mat3(p.skeleton.world + 9 * at, world);
      store3(p.joints + 3 * at, place);
      store3(p.skeleton.shift + 3 * at, place - world * rest);
    }
    __syncthreads();
  }
  for (int i = j; i < body.n_limbs; i += kBodyThreads) {
    const float* joints = p.joints + 3 * b * body.n_joints;
    const Vec3<float> along = load3(joints + 3 * body.limbs[2 * i + 1]) - load3(joints + 3 * body.limbs[2 * i]);
    store3(p.limbs + 3 * (b * body.n_limbs + i), unit_of(along));
  }
}

extern "C" __global__ void body_skin(PoseArguments p) {
  const BodyData<float>& body = p.body;
  const int b = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= body.n_points) return;
  const float* betas = p.parameters + b * body.parameters() + 3 * body.n_joints;
  const Vec3<float> rest =
      shaped_point(body.points + 3 * i, body.point_dirs + 3 * i * body.n_shapes, betas, body.n_shapes);
  const bool is_kernel = i < body.n_kernels;
  Vec3<float> place = {0, 0, 0};
  Mat3<float> precision = {}, rest_precision = {};
  if (is_kernel) rest_precision = load_mat3(body.precisions + 9 * i);
  for (int n = i * body.n_influences; n < (i + 1) * body.n_influences; ++n) {
    const float w = body.weights[n];
    if (w == 0) continue;
    const int at = b * body.n_joints + body.weight_joints[n];
    const Mat3<float> turn = load_mat3(p.skeleton.world + 9 * at);
    place = place + w * (turn * rest + load3(p.skeleton.shift + 3 * at));
    if (is_kernel) precision = precision + w * turned(turn, rest_precision);
  }
  store3(p.points + 3 * (b * body.n_points + i), place);
  if (is_kernel) store_mat3(p.precisions + 9 * (b * body.n_kernels + i), precision);
}

// A block to a kernel of a body, a thread to a channel.
extern "C" __global__ void body_mix(MixArguments p) {
  __shared__ float weights[kMaxOrientations];
  const int k = blockIdx.x, b = blockIdx.y, count = p.bank.n_orientations, channels = p.bank.channels;
  if (threadIdx.x == 0) {
    orientation_weights(load3(p.limbs + 3 * (b * p.body.n_limbs + p.bank.limb[k])), p.bank.orientations, count,
                        p.bank.kappa, weights);
  }
  __syncthreads();
  for (int c = threadIdx.x; c < channels; c += blockDim.x) {
    float sum = 0;
    for (int o = 0; o < count; ++o) sum += weights[o] * p.bank.features[((long long)k * count + o) * channels + c];
    p.features[((long long)b * p.body.n_kernels + k) * channels + c] = sum;
  }
}

// A warp to a kernel of a body.
extern "C" __global__ void body_mix_backward(MixArguments p) {
  const int k = blockIdx.x, b = blockIdx.y, count = p.bank.n_orientations, channels = p.bank.channels;
  const float* g = p.g_features + ((long long)b * p.body.n_kernels + k) * channels;
  for (int o = 0; o < count; ++o) {
    const float* from = p.bank.features + ((long long)k * count + o) * channels;
    float sum = 0;
    for (int c = threadIdx.x; c < channels; c += 32) sum += g[c] * from[c];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) atomicAdd(p.g_p + (b * p.body.n_limbs + p.bank.limb[k]) * count + o, sum);
  }
}

extern "C" __global__ void body_limbs_backward(MixArguments p) {
  const int i = threadIdx.x, b = blockIdx.x, count = p.bank.n_orientations;
  if (i >= p.body.n_limbs) return;
  const int at = b * p.body.n_limbs + i;
  float weights[kMaxOrientations];
  const Vec3<float> limb = load3(p.limbs + 3 * at);
  orientation_weights(limb, p.bank.orientations, count, p.bank.kappa, weights);
  store3(p.g_limbs + 3 * at,
         orientation_backward(limb, p.bank.orientations, count, p.bank.kappa, weights, p.g_p + at * count));
}

// Gathers the points' gradients on the joints, first in shared memory.
extern "C" __global__ void body_skin_backward(PoseBackwardArguments p) {
  __shared__ float g_world[9 * kMaxJoints], g_shift[3 * kMaxJoints], g_betas[kMaxShapes];
  const BodyData<float>& body = p.body;
  const int b = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x, shapes = body.n_shapes;
  for (int n = threadIdx.x; n < 9 * body.n_joints; n += blockDim.x) g_world[n] = 0;
  for (int n = threadIdx.x; n < 3 * body.n_joints; n += blockDim.x) g_shift[n] = 0;
  for (int n = threadIdx.x; n < shapes; n += blockDim.x) g_betas[n] = 0;
  __syncthreads();
  if (i < body.n_points) {
    const float* betas = p.parameters + b * body.parameters() + 3 * body.n_joints;
    const float* dirs = body.point_dirs + 3 * i * shapes;
    const Vec3<float> rest = shaped_point(body.points + 3 * i, dirs, betas, shapes);
    const Vec3<float> g_place = load3(p.g_points + 3 * (b * body.n_points + i));
    const bool is_kernel = i < body.n_kernels;
    Mat3<float> g_precision = {}, rest_precision = {};
    if (is_kernel) {
      g_precision = full(load_sym3(p.g_precisions + 9 * (b * body.n_kernels + i)));
      rest_precision = load_mat3(body.precisions + 9 * i);
    }
    Vec3<float> g_rest = {0, 0, 0};
    for (int n = i * body.n_influences; n < (i + 1) * body.n_influences; ++n) {
      const float w = body.weights[n];
      if (w == 0) continue;
      const int j = body.weight_joints[n];
      const Mat3<float> turn = load_mat3(p.skeleton.world + 9 * (b * body.n_joints + j));
      const Vec3<float> weighted = w * g_place;
      Mat3<float> g_turn = outer(weighted, rest);
      if (is_kernel) g_turn = g_turn + (2 * w) * (g_precision * turn * rest_precision);
      atomic_add_mat3(g_world + 9 * j, g_turn);
      atomic_add3(g_shift + 3 * j, weighted);
      g_rest = g_rest + transpose(turn) * weighted;
    }
    for (int s = 0; s < shapes; ++s) {
      atomicAdd(g_betas + s, dirs[s] * g_rest.x + dirs[shapes + s] * g_rest.y + dirs[2 * shapes + s] * g_rest.z);
    }
  }
  __syncthreads();
  for (int n = threadIdx.x; n < 9 * body.n_joints; n += blockDim.x) {
    atomicAdd(p.g_world + 9 * b * body.n_joints + n, g_world[n]);
  }
  for (int n = threadIdx.x; n < 3 * body.n_joints; n += blockDim.x) {
    atomicAdd(p.g_shift + 3 * b * body.n_joints + n, g_shift[n]);
  }
  for (int n = threadIdx.x; n < shapes; n += blockDim.x) atomicAdd(p.g_betas + b * shapes + n, g_betas[n]);
}

// A block to a body, a thread to a joint; children before parents, level by level.
extern "C" __global__ void body_pose_backward(PoseBackwardArguments p) {
  __shared__ float g_shape[kMaxShapes], g_transl[3];
  const BodyData<float>& body = p.body;
  const int b = blockIdx.x, j = threadIdx.x, base = b * body.n_joints, at = base + j, shapes = body.n_shapes;
  const float* parameters = p.parameters + b * body.parameters();
  float* out = p.gradient + b * body.parameters();
  const bool mine = j < body.n_joints;
  const int depth = mine ? depth_of(body, j) : -1, parent = mine ? body.parents[j] : -1;
  for (int s = j; s < shapes; s += kBodyThreads) g_shape[s] = p.g_betas[b * shapes + s];
  if (j < 3) g_transl[j] = 0;
  __syncthreads();
  for (int i = j; i < body.n_limbs; i += kBodyThreads) {
    const int from = base + body.limbs[2 * i], to = base + body.limbs[2 * i + 1];
    const Vec3<float> along = load3(p.joints + 3 * to) - load3(p.joints + 3 * from);
    const Vec3<float> g = unit_backward(along, load3(p.g_limbs + 3 * (b * body.n_limbs + i)));
    atomic_add3(p.g_place + 3 * to, g);
    atomic_add3(p.g_place + 3 * from, -1.0f * g);
  }
  __syncthreads();
  Vec3<float> rest = {0, 0, 0}, g_rest = {0, 0, 0};
  Mat3<float> world = {};
  if (mine) {
    rest = load3(p.skeleton.rest + 3 * at);
    world = load_mat3(p.skeleton.world + 9 * at);
    const Vec3<float> g_shift = load3(p.g_shift + 3 * at);
    Vec3<float> g_place = load3(p.g_place + 3 * at) + g_shift;
    if (p.g_joints != nullptr) g_place = g_place + load3(p.g_joints + 3 * at);
    store3(p.g_place + 3 * at, g_place);
    atomic_add3(g_transl, g_place);
    store_mat3(p.g_world + 9 * at, load_mat3(p.g_world + 9 * at) + -1.0f * outer(g_shift, rest));
    g_rest = -1.0f * (transpose(world) * g_shift);
  }
  __syncthreads();
  for (int level = body.n_joints - 1; level >= 0; --level) {
    if (depth == level) {
      const Mat3<float> g_world = load_mat3(p.g_world + 9 * at), local = load_mat3(p.skeleton.local + 9 * at);
      const Vec3<float> g_place = load3(p.g_place + 3 * at);
      Mat3<float> g_local = g_world;
      if (parent >= 0) {
        const Mat3<float> turn = load_mat3(p.skeleton.world + 9 * (base + parent));
        const Vec3<float> bone = rest - load3(p.skeleton.rest + 3 * (base + parent));
        const Vec3<float> back = transpose(turn) * g_place;
        atomic_add_mat3(p.g_world + 9 * (base + parent), g_world * transpose(local) + outer(g_place, bone));
        atomic_add3(p.g_place + 3 * (base + parent), g_place);
        g_local = transpose(turn) * g_world;
        g_rest = g_rest + back;
        const float* dirs = body.joint_dirs + 3 * parent * shapes;
        for (int s = 0; s < shapes; ++s) {
          atomicAdd(g_shape + s, -(dirs[s] * back.x + dirs[shapes + s] * back.y + dirs[2 * shapes + s] * back.z));
        }
      } else {
        g_rest = g_rest + g_place;
      }
      store3(out + 3 * j, rotation_backward(load3(parameters + 3 * j), local, g_local));
      const float* dirs = body.joint_dirs + 3 * j * shapes;
      for (int s = 0; s < shapes; ++s) {
        atomicAdd(g_shape + s, dirs[s] * g_rest.x + dirs[shapes + s] * g_rest.y + dirs[2 * shapes + s] * g_rest.z);
      }
    }
    __syncthreads();
  }
  for (int s = j; s < shapes; s += kBodyThreads) out[3 * body.n_joints + s] = g_shape[s];
  if (j < 3) out[3 * body.n_joints + shapes + j] = g_transl[j];
}

// Adds the keypoints' cost to the loss and their gradients to those of the points.
extern "C" __global__ void body_keypoints(TermsArguments p) {
  const int b = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x, count = p.body.n_points - p.body.n_kernels;
  if (i >= count) return;
  const float weight = p.keypoint_weight * p.confidence[b * count + i];
  if (weight == 0) return;
  const int at = 3 * (b * p.body.n_points + p.body.n_kernels + i);
  const float *k = p.cameras + 4 * b, *target = p.targets + 2 * (b * count + i);
  const PointCost<float> cost = keypoint_cost(Pinhole<float>{k[0], k[1], k[2], k[3]}, load3(p.points + at), target[0],
                                              target[1], p.keypoint_sigma, p.near);
  atomicAdd(p.loss + b, weight * cost.value);
  atomic_add3(p.g_points + at, weight * cost.g);
}

// Adds ½ |matrix x − target|² and its gradient. A block to a body.
extern "C" __global__ void body_linear(TermsArguments p) {
  const int b = blockIdx.x, count = p.body.parameters();
  const float* x = p.parameters + b * count;
  const float* matrix = p.linear_matrix + (long long)b * p.linear_rows * count;
  float* residual = p.residual + b * p.linear_rows;
  for (int r = threadIdx.x; r < p.linear_rows; r += blockDim.x) {
    float sum = -p.linear_target[b * p.linear_rows + r];
    for (int i = 0; i < count; ++i) sum += matrix[(long long)r * count + i] * x[i];
    residual[r] = sum;
    atomicAdd(p.loss + b, 0.5f * sum * sum);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    float sum = 0;
    for (int r = 0; r < p.linear_rows; ++r) sum += residual[r] * matrix[(long long)r * count + i];
    p.gradient[b * count + i] += sum;
  }
}

// Keeps the best pose so far and, unless it is the last look, steps: the gradient into the units, Adam there, and the
// update back. A block to a body.
extern "C" __global__ void body_adam(AdamArguments p) {
  __shared__ int better;
  const int b = blockIdx.x, first = b * p.count;
  const float* units = p.units + (long long)first * p.count;
  if (threadIdx.x == 0) {
    p.losses[b * p.columns + p.step] = p.loss[b];
    better = p.loss[b] < p.best_loss[b];
    if (better) p.best_loss[b] = p.loss[b];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < p.count; i += blockDim.x) {
    if (better) p.best[first + i] = p.parameters[first + i];
    if (!p.update) continue;
    float g = 0;
    for (int j = 0; j < p.count; ++j) g += units[(long long)j * p.count + i] * p.gradient[first + j];
    p.along[first + i] =
        adam_update(p.settings, g, p.correction1, p.correction2, p.mean + first + i, p.square + first + i);
  }
  __syncthreads();
  if (!p.update) return;
  for (int j = threadIdx.x; j < p.count; j += blockDim.x) {
    float sum = 0;
    for (int i = 0; i < p.count; ++i) sum += units[(long long)j * p.count + i] * p.along[first + i];
    p.parameters[first + j] += sum;
  }
}

}  // namespace kernels
