// Ellipsoids on a GPU. A block owns a tile of 4 × 4 pixels and lists the kernels that can reach it; each of its warps
// takes a pixel at a time, gathers the kernels that contribute into shared memory, and works out their transmittance,
// the likelihood and the gradients there. Gradients are summed by atomic additions.
#pragma once

#include "cuda_common.cuh"
#include "ellipsoid_math.h"

namespace kernels {

constexpr int kTile = 4;
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kMostKernels = 4096;  // of a body
constexpr int kMostPerPixel = 256;
constexpr int kMostFeature = 128;
constexpr int kFeatureSlots = kMostFeature / 32;  // channels that a lane holds

struct CudaEllipsoids {
  const float *centres, *precisions, *features, *cameras;
  PixelBox* boxes;  // (batch, count)
  int batch, count, channels, height, width, max_per_pixel;
  int centre_stride;  // centres of two bodies, and their gradients, are this many points apart
  float tau, limit, near;
};

struct CudaGradients {
  float *centres, *precisions, *features, *weight, *support;
};

// What contributes to a warp's pixel.
struct WarpKernels {
  int index[kMostPerPixel];  // of the kernel in its body
  float a[kMostPerPixel], l[kMostPerPixel], e[kMostPerPixel], root_a[kMostPerPixel], w[kMostPerPixel];
  float g_w[kMostPerPixel], g_hidden[kMostPerPixel];
};

KERNELS_D Vec3<float> centre_of(const CudaEllipsoids& scene, int body, int k) {
  return load3(scene.centres + 3 * (body * scene.centre_stride + k));
}

KERNELS_D Sym3<float> precision_of(const CudaEllipsoids& scene, int body, int k) {
  return load_sym3(scene.precisions + 9 * (body * scene.count + k));
}

KERNELS_D Pinhole<float> camera_of(const CudaEllipsoids& scene, int body) {
  const float* k = scene.cameras + 4 * body;
  return {k[0], k[1], k[2], k[3]};
}

KERNELS_D void find_box(const CudaEllipsoids& scene, int i) {
  const int body = i / scene.count, k = i % scene.count;
  scene.boxes[i] = kernel_box(camera_of(scene, body), centre_of(scene, body, k), precision_of(scene, body, k),
                              scene.near, scene.limit, scene.width, scene.height);
}

// The tile's kernels, ascending, into `list`; returns their number. All threads of the block call it.
KERNELS_D int list_tile(const CudaEllipsoids& scene, int body, int x0, int y0, unsigned short* list) {
  __shared__ int counts[kWarps], total;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  for (int first = 0; first < scene.count; first += kThreads) {
    const int k = first + threadIdx.x;
    bool reaches = false;
    if (k < scene.count) {
      const PixelBox box = scene.boxes[body * scene.count + k];
      reaches = box.x0 < x0 + kTile && box.x1 > x0 && box.y0 < y0 + kTile && box.y1 > y0;
    }
    const unsigned mask = __ballot_sync(kAllLanes, reaches);
    if (lane == 0) counts[warp] = __popc(mask);
    __syncthreads();
    int at = total + __popc(mask & lanes_before(lane));
    for (int w = 0; w < warp; ++w) at += counts[w];
    if (reaches) list[at] = (unsigned short)k;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 0; w < kWarps; ++w) total += counts[w];
    }
    __syncthreads();
  }
  return total;
}

// A warp at work on a pixel; all lanes hold the same values unless said otherwise.
struct WarpPixel {
  const CudaEllipsoids& scene;
  WarpKernels& own;
  int body, lane, count;
  Vec3<float> ray;
  float total;                   // Σ e
  float feature[kFeatureSlots];  // channels lane, lane + 32, ...

  KERNELS_D WarpPixel(const CudaEllipsoids& scene, WarpKernels& own, int body, int x, int y)
      : scene(scene), own(own), body(body), lane(threadIdx.x % 32), count(0), total(0) {
    ray = unit_ray(camera_of(scene, body), x, y);
  }

  // Whether a kernel takes part, and how; for each lane its own.
  KERNELS_D bool respond(int k, RayResponse<float>* r) const {
    *r = ray_response(ray, centre_of(scene, body, k), precision_of(scene, body, k));
    return r->q < scene.limit && r->l > 0;
  }

  // How many of the listed kernels take part not farther than `depth`.
  KERNELS_D int count_until(const unsigned short* list, int listed, float depth) const {
    int found = 0;
    for (int i = lane; i < listed; i += 32) {
      RayResponse<float> r;
      found += respond(list[i], &r) && r.l <= depth;
    }
    return warp_sum(found);
  }

  // The least depth up to which `most` kernels take part: positive floats are ordered as their bits are.
  KERNELS_D float depth_limit(const unsigned short* list, int listed, int most) const {
    int low = 0, high = __float_as_int(kFarthest);
    while (low < high) {
      const int middle = low + (high - low) / 2;
      if (count_until(list, listed, __int_as_float(middle)) >= most) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return __int_as_float(low);
  }

  // Returns how many kernels contribute: of too many the nearest, and of those at the same depth the first.
  KERNELS_D int gather(const unsigned short* list, int listed) {
    const int most = min_of(scene.max_per_pixel, kMostPerPixel);
    float deepest = kFarthest;
    int ties = most;
    if (count_until(list, listed, kFarthest) > most) {
      deepest = depth_limit(list, listed, most);
      const int nearer = count_until(list, listed, __int_as_float(__float_as_int(deepest) - 1));
      ties = most - nearer;
    }
    int tied = 0;
    for (int first = 0; first < listed; first += 32) {
      const int i = first + lane;
      RayResponse<float> r = {0, 0, 0};
      const bool active = i < listed && respond(list[i], &r);
      const unsigned at_limit = __ballot_sync(kAllLanes, active && r.l == deepest);
      const int rank = tied + __popc(at_limit & lanes_before(lane));
      const bool kept = active && (r.l < deepest || (r.l == deepest && rank < ties));
      const unsigned mask = __ballot_sync(kAllLanes, kept);
      if (kept) put(count + __popc(mask & lanes_before(lane)), list[i], r);
      count += __popc(mask);
      tied += __popc(at_limit);
    }
    __syncwarp();
    return count;
  }

  KERNELS_D void put(int at, int k, const RayResponse<float>& r) {
    own.index[at] = k;
    own.a[at] = r.a;
    own.l[at] = r.l;
    own.e[at] = exp_of(-r.q);
    own.root_a[at] = sqrtf(r.a);
  }

  KERNELS_D void transmit() {
    for (int m = lane; m < count; m += 32) {
      float hidden = 0;
      for (int k = 0; k < count; ++k) hidden += own.e[k] * normal_cdf(own.root_a[k] * (own.l[m] - own.l[k])).cdf;
      own.w[m] = exp_of(scene.tau * (0.5f - hidden)) * own.e[m];
      total += own.e[m];
    }
    total = warp_sum(total);
    __syncwarp();
  }

  KERNELS_D float coverage() const { return 1.0f - exp_of(-scene.tau * total); }

  KERNELS_D const float* feature_of(int i) const {
    return scene.features + (long long)(body * scene.count + own.index[i]) * scene.channels;
  }

  KERNELS_D void compose() {
    for (int s = 0; s < kFeatureSlots; ++s) feature[s] = 0;
    for (int i = 0; i < count; ++i) {
      const float* from = feature_of(i);
      for (int s = 0; s < kFeatureSlots; ++s) {
        const int c = lane + 32 * s;
        if (c < scene.channels) feature[s] += own.w[i] * from[c];
      }
    }
  }

  // A lane's channels of dL/dfeature in; adds the gradients of everything that contributes.
  KERNELS_D void backward(const float* g_feature, float g_coverage, const CudaGradients& out) {
    for (int i = 0; i < count; ++i) {
      const float* from = feature_of(i);
      float* to = out.features + (long long)(body * scene.count + own.index[i]) * scene.channels;
      float g = 0;
      for (int s = 0; s < kFeatureSlots; ++s) {
        const int c = lane + 32 * s;
        if (c >= scene.channels) continue;
        g += g_feature[s] * from[c];
        atomicAdd(to + c, own.w[i] * g_feature[s]);
      }
      g = warp_sum(g);
      if (lane == 0) {
        own.g_w[i] = g;
        own.g_hidden[i] = -scene.tau * own.w[i] * g;
      }
    }
    __syncwarp();
    const float g_total = g_coverage * scene.tau * exp_of(-scene.tau * total);
    for (int i = lane; i < count; i += 32) add_gradient(i, response_gradient(i, g_total), out);
    __syncwarp();
  }

  KERNELS_D RayResponse<float> response_gradient(int i, float g_total) const {
    const float root = own.root_a[i], depth = own.l[i], e = own.e[i];
    float g_e = 0, density = 0, moment = 0, g_l = 0;
    for (int j = 0; j < count; ++j) {
      const float apart = own.l[j] - depth;
      const NormalCdf<float> mine = normal_cdf(root * apart), other = normal_cdf(-own.root_a[j] * apart);
      g_e += own.g_hidden[j] * mine.cdf;
      density += own.g_hidden[j] * mine.pdf;
      moment += own.g_hidden[j] * mine.pdf * apart;
      g_l += own.e[j] * own.root_a[j] * other.pdf;
    }
    return {0.5f * e / root * moment, own.g_hidden[i] * g_l - e * root * density,
            -(own.g_w[i] * own.w[i] + e * (g_e + g_total))};
  }

  KERNELS_D void add_gradient(int i, const RayResponse<float>& g, const CudaGradients& out) const {
    const int k = own.index[i], at = body * scene.count + k;
    const RayResponse<float> r = {own.a[i], own.l[i], 0};
    const KernelGradient<float> found =
        ray_response_backward(ray, centre_of(scene, body, k), precision_of(scene, body, k), r, g);
    float* centre = out.centres + 3 * (body * scene.centre_stride + k);
    atomicAdd(centre, found.centre.x);
    atomicAdd(centre + 1, found.centre.y);
    atomicAdd(centre + 2, found.centre.z);
    float full[9];
    store_sym3(found.precision, full);
    for (int c = 0; c < 9; ++c) atomicAdd(out.precisions + 9 * at + c, full[c]);
  }
};

}  // namespace kernels
