// Z-buffered triangles on a GPU: a thread to a triangle, the nearest surface of each sample by an atomic maximum.

#include "cuda_common.cuh"
#include "raster_math.h"

namespace kernels {

typedef unsigned long long Key;  // 1/z in the upper half, so that the nearest is the greatest; then the lowest index

struct RasterArguments {
  const float* vertices;
  const int* faces;
  Key* keys;  // (height · rows, width), cleared to 0
  int n_vertices, n_faces, width, height;
  double fx, fy, cx, cy, near;
  int rows;  // samples of a pixel, 1 or 4, one in each row
  int skip_backs;
};

struct ResolveArguments {
  RasterArguments raster;
  float *depth, *barycentric;
  int* triangle;
};

struct OverlayArguments {
  RasterArguments raster;
  const float *normals, *colours;
  unsigned char* image;
  Lighting light;
  float alpha;
};

struct NormalsArguments {
  const float* vertices;
  const int* faces;
  float* normals;  // cleared to 0
  int n_vertices, n_faces;
};

KERNELS_D double sample_offset(int rows, int row) {
  const int rotated[4] = {96, 224, 32, 160};
  return rows == 1 ? 128 : rotated[row & 3];
}

KERNELS_D void fill_samples(const RasterArguments& p, const TriangleSetup& t) {
  const double step = kSubpixels / p.rows, half = step / 2;
  const int first = max_of(0, (int)ceil((t.y_first - half) / step));
  const int last = min_of(p.height * p.rows - 1, (int)floor((t.y_last - half) / step));
  for (int r = first; r <= last; ++r) {
    const double y = half + r * step, offset = sample_offset(p.rows, r);
    double low = 0, high = p.width - 1;
    for (int i = 0; i < 3; ++i) {
      const double start = t.a[i] * offset + t.b[i] * y + t.c[i], slope = t.a[i] * kSubpixels;
      if (slope > 0) low = max_of(low, first_inside(start, slope));
      if (slope < 0) high = min_of(high, last_inside(start, slope));
      if (slope == 0 && start < 0) high = -1;
    }
    for (int x = (int)low; x <= (int)high; ++x) {
      const double z = t.plane.zx * (offset + x * kSubpixels) + t.plane.zy * y + t.plane.z0;
      const float inverse_z = clamp_to((float)z, t.inverse_z_low, t.inverse_z_high);
      const Key key = ((Key)__float_as_uint(inverse_z) << 32) | (0xffffffffu - (unsigned)t.triangle);
      atomicMax(p.keys + (long long)r * p.width + x, key);
    }
  }
}

KERNELS_D Vec3<double> corner_of(const RasterArguments& p, int triangle, int corner) {
  const float* v = p.vertices + 3ll * p.faces[3ll * triangle + corner];
  return {v[0], v[1], v[2]};
}

KERNELS_D Vec3<float> float_corner_of(const RasterArguments& p, int triangle, int corner) {
  return load3(p.vertices + 3ll * p.faces[3ll * triangle + corner]);
}

extern "C" __global__ void raster_fill(RasterArguments p) {
  const int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= p.n_faces) return;
  const Pinhole<double> camera = {p.fx, p.fy, p.cx, p.cy};
  Vec3<double> polygon[kMaxClipped] = {corner_of(p, t, 0), corner_of(p, t, 1), corner_of(p, t, 2)};
  if (p.skip_backs && faces_away(polygon[0], polygon[1], polygon[2])) return;
  const DepthPlane plane = depth_plane(camera, polygon[0], polygon[1], polygon[2]);
  int corners = 3;
  bool outside = false;
  for (int i = 0; i < 3; ++i) outside = outside || needs_clipping(camera, p.near, polygon[i]);
  if (outside) corners = clip_triangle(camera, p.near, polygon);
  for (int i = 2; i < corners; ++i) {
    const ScreenVertex v[3] = {project_vertex(camera, polygon[0]), project_vertex(camera, polygon[i - 1]),
                               project_vertex(camera, polygon[i])};
    TriangleSetup setup;
    if (set_up_triangle(v, plane, t, &setup)) fill_samples(p, setup);
  }
}

KERNELS_D int triangle_of(Key key) { return key == 0 ? -1 : (int)(0xffffffffu - (unsigned)key); }

KERNELS_D float inverse_z_of(Key key) { return __uint_as_float((unsigned)(key >> 32)); }

KERNELS_D Pinhole<float> float_camera_of(const RasterArguments& p) {
  return {(float)p.fx, (float)p.fy, (float)p.cx, (float)p.cy};
}

extern "C" __global__ void raster_resolve(ResolveArguments p) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
  if (x >= p.raster.width) return;
  const long long at = (long long)y * p.raster.width + x;
  const Key key = p.raster.keys[at];
  const int t = triangle_of(key);
  p.triangle[at] = t;
  p.depth[at] = t < 0 ? __int_as_float(0x7f800000) : 1 / inverse_z_of(key);
  Vec3<float> b = {0, 0, 0};
  if (t >= 0) {
    b = ray_barycentric(pixel_ray(float_camera_of(p.raster), x + 0.5f, y + 0.5f), float_corner_of(p.raster, t, 0),
                        float_corner_of(p.raster, t, 1), float_corner_of(p.raster, t, 2));
  }
  p.barycentric[3 * at] = b.x;
  p.barycentric[3 * at + 1] = b.y;
  p.barycentric[3 * at + 2] = b.z;
}

KERNELS_D Vec3<float> blend_corners(const RasterArguments& p, const float* values, int t, Vec3<float> b) {
  const int* corner = p.faces + 3ll * t;
  return b.x * load3(values + 3ll * corner[0]) + b.y * load3(values + 3ll * corner[1]) +
         b.z * load3(values + 3ll * corner[2]);
}

KERNELS_D Vec3<float> shade(const OverlayArguments& p, int t, float u, float v) {
  const Vec3<float> ray = pixel_ray(float_camera_of(p.raster), u, v);
  const Vec3<float> v0 = float_corner_of(p.raster, t, 0), v1 = float_corner_of(p.raster, t, 1),
                    v2 = float_corner_of(p.raster, t, 2);
  const Vec3<float> b = ray_barycentric(ray, v0, v1, v2);
  return lit(p.light, blend_corners(p.raster, p.normals, t, b), seen_from_behind(ray, v0, v1, v2)) *
         blend_corners(p.raster, p.colours, t, b);
}

extern "C" __global__ void raster_overlay(OverlayArguments p) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
  if (x >= p.raster.width) return;
  const int rows = p.raster.rows;
  Vec3<float> sum = {0, 0, 0};
  int hits = 0;
  for (int s = 0; s < rows; ++s) {
    const int t = triangle_of(p.raster.keys[((long long)y * rows + s) * p.raster.width + x]);
    if (t < 0) continue;
    ++hits;
    sum = sum + shade(p, t, x + (float)(sample_offset(rows, s) / kSubpixels), y + (s + 0.5f) / rows);
  }
  if (hits == 0) return;
  unsigned char* out = p.image + 3 * ((long long)y * p.raster.width + x);
  const float weight = p.alpha / rows, keep = 1 - weight * hits, mixed[3] = {sum.x, sum.y, sum.z};
  for (int c = 0; c < 3; ++c) {
    out[c] = (unsigned char)clamp_to(keep * out[c] + weight * mixed[c] + 0.5f, 0.0f, 255.0f);
  }
}

extern "C" __global__ void raster_add_normals(NormalsArguments p) {
  const int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t >= p.n_faces) return;
  const int* corner = p.faces + 3ll * t;
  const Vec3<float> v0 = load3(p.vertices + 3ll * corner[0]);
  const Vec3<float> n = cross(load3(p.vertices + 3ll * corner[1]) - v0, load3(p.vertices + 3ll * corner[2]) - v0);
  for (int i = 0; i < 3; ++i) {
    atomicAdd(p.normals + 3ll * corner[i], n.x);
    atomicAdd(p.normals + 3ll * corner[i] + 1, n.y);
    atomicAdd(p.normals + 3ll * corner[i] + 2, n.z);
  }
}

extern "C" __global__ void raster_scale_normals(NormalsArguments p) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= p.n_vertices) return;
  const Vec3<float> n = load3(p.normals + 3ll * i);
  const float length2 = dot(n, n), scale = length2 > 0 ? 1 / sqrtf(length2) : 0;
  for (int c = 0; c < 3; ++c) p.normals[3ll * i + c] *= scale;
}

}  // namespace kernels
