// A skinned body's formulas: rotations, orientation-dependent features, reprojection, Adam. See docs/kernels.md.
#pragma once

#include "ellipsoid_math.h"

namespace kernels {

constexpr int kMaxJoints = 64, kMaxShapes = 64;

// The first n_kernels of the points carry ellipsoids; the others are keypoints.
template <typename T>
struct BodyData {
  const int *parents, *weight_joints, *limbs;
  const T *joints, *joint_dirs, *points, *point_dirs, *weights, *precisions;
  int n_joints, n_shapes, n_points, n_kernels, n_limbs, n_influences;

  KERNELS_HD int parameters() const { return 3 * n_joints + n_shapes + 3; }
};

template <typename T>
struct FeatureBank {
  const T *features, *orientations;  // (n_kernels, n_orientations, channels), (n_orientations, 2)
  const int* limb;                   // (n_kernels)
  int n_orientations, channels;
  T kappa;
};

template <typename T>
struct Mat3 {
  T m[9];  // by rows
};

template <typename T>
KERNELS_HD Mat3<T> load_mat3(const T* p) {
  return {{p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8]}};
}

template <typename T>
KERNELS_HD Vec3<T> operator*(const Mat3<T>& a, Vec3<T> v) {
  return {a.m[0] * v.x + a.m[1] * v.y + a.m[2] * v.z, a.m[3] * v.x + a.m[4] * v.y + a.m[5] * v.z,
          a.m[6] * v.x + a.m[7] * v.y + a.m[8] * v.z};
}

template <typename T>
KERNELS_HD Mat3<T> transpose(const Mat3<T>& a) {
  return {{a.m[0], a.m[3], a.m[6], a.m[1], a.m[4], a.m[7], a.m[2], a.m[5], a.m[8]}};
}

template <typename T>
KERNELS_HD Mat3<T> operator*(const Mat3<T>& a, const Mat3<T>& b) {
  Mat3<T> c;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j)
      c.m[3 * i + j] = a.m[3 * i] * b.m[j] + a.m[3 * i + 1] * b.m[3 + j] + a.m[3 * i + 2] * b.m[6 + j];
  }
  return c;
}

template <typename T>
KERNELS_HD Mat3<T> operator+(const Mat3<T>& a, const Mat3<T>& b) {
  Mat3<T> c;
  for (int i = 0; i < 9; ++i) c.m[i] = a.m[i] + b.m[i];
  return c;
}

template <typename T>
KERNELS_HD Mat3<T> operator*(T s, const Mat3<T>& a) {
  Mat3<T> c;
  for (int i = 0; i < 9; ++i) c.m[i] = s * a.m[i];
  return c;
}

// a bᵀ
template <typename T>
KERNELS_HD Mat3<T> outer(Vec3<T> a, Vec3<T> b) {
  return {{a.x * b.x, a.x * b.y, a.x * b.z, a.y * b.x, a.y * b.y, a.y * b.z, a.z * b.x, a.z * b.y, a.z * b.z}};
}

// --- rotations
// --------------------------------------------------------------------------------------------------------

// sin θ / θ, (1 − cos θ) / θ², (θ − sin θ) / θ³, by series where the quotients lose their digits.
template <typename T>
struct RotationSeries {
  T sine, cosine, rest;
};

template <typename T>
KERNELS_HD RotationSeries<T> rotation_series(T angle2) {
  if (angle2 < T(0.01)) {
    const T x = angle2;
    return {T(1) - x / 6 * (T(1) - x / 20 * (T(1) - x / 42 * (T(1) - x / 72))),
            T(0.5) - x / 24 * (T(1) - x / 30 * (T(1) - x / 56 * (T(1) - x / 90))),
            T(1) / 6 - x / 120 * (T(1) - x / 42 * (T(1) - x / 72 * (T(1) - x / 110)))};
  }
  const T angle = T(sqrt(angle2)), half = T(sin(angle / 2)), sine = T(sin(angle));
  return {sine / angle, 2 * half * half / angle2, (angle - sine) / (angle2 * angle)};
}

// Rodrigues: the rotation by |v| about v.
template <typename T>
KERNELS_HD Mat3<T> rotation_of(Vec3<T> v) {
  const RotationSeries<T> s = rotation_series(dot(v, v));
  const T a = s.sine, b = s.cosine, d = T(1) - b * dot(v, v);
  return {{d + b * v.x * v.x, b * v.x * v.y - a * v.z, b * v.x * v.z + a * v.y, b * v.x * v.y + a * v.z,
           d + b * v.y * v.y, b * v.y * v.z - a * v.x, b * v.x * v.z - a * v.y, b * v.y * v.z + a * v.x,
           d + b * v.z * v.z}};
}

// dL/dv from dL/dR at R = rotation_of(v): dR = R [J dv]× with the right Jacobian J = I − b [v]× + c [v]×².
template <typename T>
KERNELS_HD Vec3<T> rotation_backward(Vec3<T> v, const Mat3<T>& rotation, const Mat3<T>& g) {
  const RotationSeries<T> s = rotation_series(dot(v, v));
  const Mat3<T> x = transpose(rotation) * g;
  const Vec3<T> u = {x.m[7] - x.m[5], x.m[2] - x.m[6], x.m[3] - x.m[1]};
  const Vec3<T> once = cross(v, u);
  return u + s.cosine * once + s.rest * cross(v, once);
}

// --- covariances
// ------------------------------------------------------------------------------------------------------

template <typename T>
KERNELS_HD Mat3<T> full(const Sym3<T>& a) {
  return {{a.xx, a.xy, a.xz, a.xy, a.yy, a.yz, a.xz, a.yz, a.zz}};
}

// R A Rᵀ
template <typename T>
KERNELS_HD Mat3<T> turned(const Mat3<T>& rotation, const Mat3<T>& a) {
  return rotation * a * transpose(rotation);
}

// --- direction of a limb and the features that follow it
// --------------------------------------------------------------

// v / |v|, and 0 for 0.
template <typename T>
KERNELS_HD Vec3<T> unit_of(Vec3<T> v) {
  const T length2 = dot(v, v);
  return (length2 > 0 ? T(1) / T(sqrt(length2)) : T(0)) * v;
}

// dL/dv from dL/dunit at unit = unit_of(v).
template <typename T>
KERNELS_HD Vec3<T> unit_backward(Vec3<T> v, Vec3<T> g) {
  const T length2 = dot(v, v);
  const T inverse = length2 > 0 ? T(1) / T(sqrt(length2)) : T(0);
  const Vec3<T> unit = inverse * v;
  return inverse * (g - dot(g, unit) * unit);
}

constexpr int kMaxOrientations = 16;

// A limb along x has no direction in the yz plane: this much keeps the projection differentiable.
template <typename T>
constexpr T kPlaneSoftness = T(1e-6);

// p(o | limb) ∝ exp(κ u·o): u is the limb's direction projected to the camera's yz plane and scaled to unit length.
template <typename T>
KERNELS_HD void orientation_weights(Vec3<T> limb, const T* orientations, int count, T kappa, T* p) {
  const T inverse = T(1) / T(sqrt(limb.y * limb.y + limb.z * limb.z + kPlaneSoftness<T>));
  const T y = inverse * limb.y, z = inverse * limb.z;
  T sum = 0;
  for (int o = 0; o < count; ++o) {
    p[o] = T(exp(kappa * (y * orientations[2 * o] + z * orientations[2 * o + 1] - T(1))));
    sum += p[o];
  }
  for (int o = 0; o < count; ++o) p[o] /= sum;
}

// dL/dlimb from dL/dp.
template <typename T>
KERNELS_HD Vec3<T> orientation_backward(Vec3<T> limb, const T* orientations, int count, T kappa, const T* p,
                                        const T* g_p) {
  T mean = 0, g_y = 0, g_z = 0;
  for (int o = 0; o < count; ++o) mean += p[o] * g_p[o];
  for (int o = 0; o < count; ++o) {
    const T g = kappa * p[o] * (g_p[o] - mean);
    g_y += g * orientations[2 * o];
    g_z += g * orientations[2 * o + 1];
  }
  const T inverse = T(1) / T(sqrt(limb.y * limb.y + limb.z * limb.z + kPlaneSoftness<T>));
  const T along = inverse * inverse * (g_y * limb.y + g_z * limb.z);
  return {T(0), inverse * (g_y - along * limb.y), inverse * (g_z - along * limb.z)};
}

// --- keypoints
// --------------------------------------------------------------------------------------------------------

template <typename T>
struct PointCost {
  T value;
  Vec3<T> g;
};

// Geman–McClure of the reprojection error, s / (1 + s) with s = |pixel − target|² / σ². A point that is not beyond
// `near` costs as much as one infinitely far off.
template <typename T>
KERNELS_HD PointCost<T> keypoint_cost(const Pinhole<T>& camera, Vec3<T> p, T u, T v, T sigma, T near) {
  if (!(p.z > near)) return {T(1), {T(0), T(0), T(0)}};
  const T iz = T(1) / p.z, scale = T(1) / (sigma * sigma);
  const T dx = camera.fx * p.x * iz + camera.cx - u, dy = camera.fy * p.y * iz + camera.cy - v;
  const T s = scale * (dx * dx + dy * dy), slope = 2 * scale / ((T(1) + s) * (T(1) + s));
  const T gx = slope * dx * camera.fx * iz, gy = slope * dy * camera.fy * iz;
  return {s / (T(1) + s), {gx, gy, -(gx * p.x + gy * p.y) * iz}};
}

// --- Adam
// -------------------------------------------------------------------------------------------------------------

template <typename T>
struct AdamSettings {
  T rate, beta1, beta2, epsilon;
};

// One unknown's update; `correction1` and `correction2` are 1 − βᵢ^step.
template <typename T>
KERNELS_HD T adam_update(const AdamSettings<T>& s, T g, T correction1, T correction2, T* mean, T* square) {
  *mean = s.beta1 * *mean + (T(1) - s.beta1) * g;
  *square = s.beta2 * *square + (T(1) - s.beta2) * g * g;
  return -s.rate * (*mean / correction1) / (T(sqrt(*square / correction2)) + s.epsilon);
}

}  // namespace kernels
