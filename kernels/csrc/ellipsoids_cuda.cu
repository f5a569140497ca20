// The ellipsoid renderer's kernels. Each takes one structure, so that all are launched alike.

#include "ellipsoids_cuda.cuh"

namespace kernels {

struct RenderArguments {
  CudaEllipsoids scene;
  float *features, *coverage, *depth, *weight;
  int* index;
  int kept;
};

struct RenderBackwardArguments {
  CudaEllipsoids scene;
  const float *g_features, *g_coverage;
  CudaGradients out;
};

struct LikelihoodArguments {
  CudaEllipsoids scene;
  const float *observed, *base, *pixel_weight, *mask;
  const int* index;
  LikelihoodSettings<float> settings;
  float scale;             // of cost and gradients
  float *nll, *occlusion;  // occlusion may be null
  CudaGradients out;       // centres null: no gradients; weight and support may be null
};

// Where the block's tile lies.
struct TilePlace {
  int body, x0, y0;

  KERNELS_D explicit TilePlace(const CudaEllipsoids& scene) {
    const int tiles_x = (scene.width + kTile - 1) / kTile;
    body = blockIdx.y;
    x0 = (int)blockIdx.x % tiles_x * kTile;
    y0 = (int)blockIdx.x / tiles_x * kTile;
  }
};

// The strongest kernels of a pixel, one after the other; takes their weights away.
KERNELS_D void write_strongest(const WarpPixel& pixel, const RenderArguments& p, long long at) {
  for (int n = 0; n < p.kept; ++n) {
    float best = 0;
    int where = kMostPerPixel;
    for (int i = pixel.lane; i < pixel.count; i += 32) {
      if (pixel.own.w[i] > best) {
        best = pixel.own.w[i];
        where = i;
      }
    }
    for (int step = 16; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(kAllLanes, best, step);
      const int there = __shfl_xor_sync(kAllLanes, where, step);
      if (other > best || (other == best && there < where)) {
        best = other;
        where = there;
      }
    }
    if (pixel.lane == 0) {
      p.index[at * p.kept + n] = where < kMostPerPixel ? pixel.own.index[where] : -1;
      p.weight[at * p.kept + n] = best;
      if (where < kMostPerPixel) pixel.own.w[where] = 0;
    }
    __syncwarp();
  }
}

extern "C" __global__ void ellipsoids_boxes(CudaEllipsoids p) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < p.batch * p.count) find_box(p, i);
}

extern "C" __global__ void ellipsoids_render(RenderArguments p) {
  __shared__ unsigned short list[kMostKernels];
  __shared__ WarpKernels own[kWarps];
  const TilePlace tile(p.scene);
  const int listed = list_tile(p.scene, tile.body, tile.x0, tile.y0, list), warp = threadIdx.x / 32;
  for (int i = warp; i < kTile * kTile; i += kWarps) {
    const int x = tile.x0 + i % kTile, y = tile.y0 + i / kTile;
    if (x >= p.scene.width || y >= p.scene.height) continue;
    const long long at = ((long long)tile.body * p.scene.height + y) * p.scene.width + x;
    WarpPixel pixel(p.scene, own[warp], tile.body, x, y);
    pixel.gather(list, listed);
    pixel.transmit();
    pixel.compose();
    float along = 0, weight = 0;
    for (int k = pixel.lane; k < pixel.count; k += 32) {
      along += pixel.own.w[k] * pixel.own.l[k];
      weight += pixel.own.w[k];
    }
    along = warp_sum(along);
    weight = warp_sum(weight);
    for (int s = 0; s < kFeatureSlots; ++s) {
      const int c = pixel.lane + 32 * s;
      if (c < p.scene.channels) p.features[at * p.scene.channels + c] = pixel.feature[s];
    }
    if (pixel.lane == 0) {
      p.coverage[at] = pixel.coverage();
      p.depth[at] = pixel.count > 0 ? along / weight * pixel.ray.z : __int_as_float(0x7f800000);
    }
    write_strongest(pixel, p, at);
  }
}

extern "C" __global__ void ellipsoids_render_backward(RenderBackwardArguments p) {
  __shared__ unsigned short list[kMostKernels];
  __shared__ WarpKernels own[kWarps];
  const TilePlace tile(p.scene);
  const int listed = list_tile(p.scene, tile.body, tile.x0, tile.y0, list), warp = threadIdx.x / 32;
  for (int i = warp; i < kTile * kTile; i += kWarps) {
    const int x = tile.x0 + i % kTile, y = tile.y0 + i / kTile;
    if (x >= p.scene.width || y >= p.scene.height) continue;
    const long long at = ((long long)tile.body * p.scene.height + y) * p.scene.width + x;
    WarpPixel pixel(p.scene, own[warp], tile.body, x, y);
    if (pixel.gather(list, listed) == 0) continue;
    pixel.transmit();
    float g_feature[kFeatureSlots];
    for (int s = 0; s < kFeatureSlots; ++s) {
      const int c = pixel.lane + 32 * s;
      g_feature[s] = c < p.scene.channels ? p.g_features[at * p.scene.channels + c] : 0;
    }
    pixel.backward(g_feature, p.g_coverage[at], p.out);
  }
}

KERNELS_D PixelTerms<float> terms_of(const LikelihoodArguments& p, long long observed_at) {
  return {p.base[observed_at], p.pixel_weight[observed_at], p.mask[observed_at]};
}

// One pixel's terms; returns its cost.
KERNELS_D float explain(WarpPixel& pixel, const LikelihoodArguments& p, long long observed_at, long long at) {
  const int channels = p.scene.channels;
  const float* observed = p.observed + observed_at * channels;
  const PixelTerms<float> terms = terms_of(p, observed_at);
  pixel.transmit();
  pixel.compose();
  float square = 0, product = 0, g_feature[kFeatureSlots];
  for (int s = 0; s < kFeatureSlots; ++s) {
    const int c = pixel.lane + 32 * s;
    if (c >= channels) continue;
    square += pixel.feature[s] * pixel.feature[s];
    product += pixel.feature[s] * observed[c];
  }
  const float length = sqrtf(warp_sum(square) + kShortestFeature<float>), cosine = warp_sum(product) / length;
  const PixelLikelihood<float> found = pixel_likelihood(p.settings, terms, cosine, pixel.coverage());
  if (p.occlusion != nullptr && pixel.lane == 0) p.occlusion[at] = found.occlusion;
  if (p.out.centres == nullptr) return found.nll;
  const CosineSlope<float> slope = cosine_slope(p.scale * found.g_cosine, cosine, length);
  for (int s = 0; s < kFeatureSlots; ++s) {
    const int c = pixel.lane + 32 * s;
    g_feature[s] = c < channels ? slope.along * observed[c] - slope.back * pixel.feature[s] : 0;
  }
  pixel.backward(g_feature, p.scale * found.g_coverage, p.out);
  if (p.out.weight != nullptr) {
    for (int k = pixel.lane; k < pixel.count; k += 32) {
      const int to = pixel.body * p.scene.count + pixel.own.index[k];
      atomicAdd(p.out.weight + to, pixel.own.w[k]);
      atomicAdd(p.out.support + to, (1 - found.occlusion) * pixel.own.w[k]);
    }
  }
  return found.nll;
}

extern "C" __global__ void ellipsoids_likelihood(LikelihoodArguments p) {
  __shared__ unsigned short list[kMostKernels];
  __shared__ WarpKernels own[kWarps];
  __shared__ float costs[kWarps];
  const TilePlace tile(p.scene);
  const int listed = list_tile(p.scene, tile.body, tile.x0, tile.y0, list);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float cost = 0;
  for (int i = warp; i < kTile * kTile; i += kWarps) {
    const int x = tile.x0 + i % kTile, y = tile.y0 + i / kTile;
    if (x >= p.scene.width || y >= p.scene.height) continue;
    const long long inside = (long long)y * p.scene.width + x, area = (long long)p.scene.height * p.scene.width;
    const long long seen = p.index[tile.body] * area + inside, at = tile.body * area + inside;
    WarpPixel pixel(p.scene, own[warp], tile.body, x, y);
    if (pixel.gather(list, listed) > 0) {
      cost += explain(pixel, p, seen, at);
    } else {
      cost += empty_pixel_nll(p.settings, terms_of(p, seen));
      if (p.occlusion != nullptr && lane == 0) p.occlusion[at] = 0;
    }
    __syncwarp();
  }
  if (lane == 0) costs[warp] = cost;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < kWarps; ++w) cost += costs[w];
    atomicAdd(p.nll + tile.body, p.scale * cost);
  }
}

}  // namespace kernels
