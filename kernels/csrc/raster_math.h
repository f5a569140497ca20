// The rasteriser's formulas: projection to a fixed-point grid, exact edge functions, depth planes, barycentrics, light.
#pragma once

#include "platform.h"

namespace kernels {

// Image positions are snapped to 1/256 pixel. Edge functions are then integers below 2^53, exact in a double, so that
// triangles that share an edge never leave a hole between them.
constexpr double kSubpixels = 256.0;
// Triangles are clipped to this many pixels around the picture, which keeps the products above exact.
constexpr double kGuardPixels = 32768.0;

struct ScreenVertex {
  double x, y;       // fixed-point image position, whole numbers
  double inverse_z;  // 1/m, linear over the image
};

KERNELS_HD ScreenVertex project_vertex(const Pinhole<double>& camera, Vec3<double> p) {
  const double inverse_z = 1.0 / p.z;
  return {rint((camera.fx * p.x * inverse_z + camera.cx) * kSubpixels),
          rint((camera.fy * p.y * inverse_z + camera.cy) * kSubpixels), inverse_z};
}

// Signed distance-like value of a clipping plane: near plane first, then left, right, top, bottom of the guard band.
KERNELS_HD double plane_value(int plane, const Pinhole<double>& camera, double near, Vec3<double> p) {
  switch (plane) {
    case 0:
      return p.z - near;
    case 1:
      return camera.fx * p.x + (camera.cx + kGuardPixels) * p.z;
    case 2:
      return -camera.fx * p.x + (kGuardPixels - camera.cx) * p.z;
    case 3:
      return camera.fy * p.y + (camera.cy + kGuardPixels) * p.z;
    default:
      return -camera.fy * p.y + (kGuardPixels - camera.cy) * p.z;
  }
}

constexpr int kClipPlanes = 5;
constexpr int kMaxClipped = 3 + kClipPlanes;

// Sutherland–Hodgman: the convex polygon that is left of a triangle, at most kMaxClipped corners; returns their number.
KERNELS_HD int clip_triangle(const Pinhole<double>& camera, double near, Vec3<double>* polygon) {
  int count = 3;
  for (int plane = 0; plane < kClipPlanes && count > 0; ++plane) {
    Vec3<double> kept[kMaxClipped];
    int n = 0;
    for (int i = 0; i < count; ++i) {
      const Vec3<double> a = polygon[i], b = polygon[i + 1 < count ? i + 1 : 0];
      const double va = plane_value(plane, camera, near, a), vb = plane_value(plane, camera, near, b);
      if (va >= 0) kept[n++] = a;
      if ((va >= 0) != (vb >= 0)) {
        // From the inner corner outwards, so that both triangles of a shared edge get the same point.
        Vec3<double> p = va >= 0 ? a + (va / (va - vb)) * (b - a) : b + (vb / (vb - va)) * (a - b);
        if (plane == 0) p.z = near;
        kept[n++] = p;
      }
    }
    count = n;
    for (int i = 0; i < n; ++i) polygon[i] = kept[i];
  }
  return count;
}

KERNELS_HD bool needs_clipping(const Pinhole<double>& camera, double near, Vec3<double> p) {
  bool outside = false;
  for (int plane = 0; plane < kClipPlanes; ++plane) outside = outside || !(plane_value(plane, camera, near, p) >= 0);
  return outside;
}

// 1/z of a face's plane over the image, zx x + zy y + z0 in fixed-point units. Taken from the face itself and not from
// its snapped corners, so that depth is right to float precision also on surfaces seen edge-on.
struct DepthPlane {
  double zx, zy, z0;
};

// Whether the camera sees the side of the face from which its corners run clockwise.
KERNELS_HD bool faces_away(Vec3<double> v0, Vec3<double> v1, Vec3<double> v2) {
  return dot(cross(v1 - v0, v2 - v0), v0) > 0;
}

KERNELS_HD DepthPlane depth_plane(const Pinhole<double>& camera, Vec3<double> v0, Vec3<double> v1, Vec3<double> v2) {
  const Vec3<double> normal = cross(v1 - v0, v2 - v0);
  const double distance = dot(normal, v0);
  if (distance == 0) return {0, 0, 0};  // seen exactly edge-on: the limits below decide
  const double x = normal.x / (camera.fx * distance), y = normal.y / (camera.fy * distance);
  return {x / kSubpixels, y / kSubpixels, normal.z / distance - x * camera.cx - y * camera.cy};
}

// Edge i is a x + b y + c, not negative inside, in fixed-point units.
struct TriangleSetup {
  double a[3], b[3], c[3];
  DepthPlane plane;
  float inverse_z_low, inverse_z_high;   // limits that 1/z is held to
  int x_first, x_last, y_first, y_last;  // fixed-point bounding box
  int triangle;
};

// False for a triangle without area on the grid.
KERNELS_HD bool set_up_triangle(const ScreenVertex* v, const DepthPlane& plane, int triangle, TriangleSetup* out) {
  const double area = (v[1].x - v[0].x) * (v[2].y - v[0].y) - (v[1].y - v[0].y) * (v[2].x - v[0].x);
  if (area == 0) return false;
  const double sign = area > 0 ? 1 : -1;
  for (int i = 0; i < 3; ++i) {  // edge i is opposite to corner i
    const ScreenVertex p = v[(i + 1) % 3], q = v[(i + 2) % 3];
    out->a[i] = -sign * (q.y - p.y);
    out->b[i] = sign * (q.x - p.x);
    out->c[i] = -(out->a[i] * p.x + out->b[i] * p.y);
  }
  out->plane = plane;
  out->inverse_z_low = (float)min_of(v[0].inverse_z, min_of(v[1].inverse_z, v[2].inverse_z));
  out->inverse_z_high = (float)max_of(v[0].inverse_z, max_of(v[1].inverse_z, v[2].inverse_z));
  out->x_first = (int)min_of(v[0].x, min_of(v[1].x, v[2].x));
  out->x_last = (int)max_of(v[0].x, max_of(v[1].x, v[2].x));
  out->y_first = (int)min_of(v[0].y, min_of(v[1].y, v[2].y));
  out->y_last = (int)max_of(v[0].y, max_of(v[1].y, v[2].y));
  out->triangle = triangle;
  return true;
}

// The first and the last whole pixel where an edge that grows (falls) by `step` a pixel from `start` is not negative.
// The division is exact where it matters: a quotient that is no whole number differs from one by more than a double's
// rounding.
KERNELS_HD double first_inside(double start, double step) { return ceil(-start / step); }
KERNELS_HD double last_inside(double start, double step) { return floor(start / -step); }

// Perspective-correct barycentrics of a ray through a triangle given in the camera frame. Independent of clipping.
// Snapping can put a sample a hair outside: the result is clamped to the triangle.
KERNELS_HD Vec3<float> ray_barycentric(Vec3<float> ray, Vec3<float> v0, Vec3<float> v1, Vec3<float> v2) {
  // Relative to the first corner the products lose no digits to the distance from the camera.
  const Vec3<float> e1 = v1 - v0, e2 = v2 - v0;
  const Vec3<float> normal = cross(e1, e2);
  const float facing = dot(normal, ray), length2 = dot(normal, normal);
  const float along = facing != 0 ? dot(normal, v0) / facing : 0.0f;
  const float scale = length2 > 0 ? 1 / length2 : 0.0f;
  const Vec3<float> hit = along * ray - v0;
  const float b1 = clamp_to(dot(cross(hit, e2), normal) * scale, 0.0f, 1.0f);
  const float b2 = clamp_to(dot(cross(e1, hit), normal) * scale, 0.0f, 1.0f);
  const float shrink = 1 / max_of(b1 + b2, 1.0f);
  return {1 - (b1 + b2) * shrink, b1 * shrink, b2 * shrink};
}

// Whether the ray meets the side of the triangle from which its corners run clockwise in the picture.
KERNELS_HD bool seen_from_behind(Vec3<float> ray, Vec3<float> v0, Vec3<float> v1, Vec3<float> v2) {
  return dot(cross(v1 - v0, v2 - v0), ray) > 0;
}

// Two directional lights over an ambient term; directions point from the surface to the light, camera frame, unit.
struct Lighting {
  float ambient;
  float key[3], key_strength;
  float fill[3], fill_strength;
};

// Brightness factor of a surface. The normal need not be unit; it is turned round where the back of the face is seen
// (by the face and not by the smooth normal itself, which may point a little away near an outline).
KERNELS_HD float lit(const Lighting& light, Vec3<float> normal, bool back) {
  const float length2 = dot(normal, normal);
  const float inverse = length2 > 0 ? (back ? -1.0f : 1.0f) / sqrtf(length2) : 0.0f;
  const float key = inverse * dot(normal, load3(light.key)), fill = inverse * dot(normal, load3(light.fill));
  return light.ambient + light.key_strength * max_of(key, 0.0f) + light.fill_strength * max_of(fill, 0.0f);
}

}  // namespace kernels
