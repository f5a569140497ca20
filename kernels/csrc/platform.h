// What lets one header serve a C++17 compiler, nvcc and NVRTC: the formulas are written once and include this first.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define KERNELS_HD __host__ __device__ __forceinline__
#else
#include <cmath>
#define KERNELS_HD inline __attribute__((always_inline))
#endif

#if !defined(__CUDACC_RTC__)
#include <math.h>
#endif

namespace kernels {

template <typename T>
KERNELS_HD T min_of(T a, T b) {
  return a < b ? a : b;
}

template <typename T>
KERNELS_HD T max_of(T a, T b) {
  return a > b ? a : b;
}

template <typename T>
KERNELS_HD T clamp_to(T value, T low, T high) {
  return min_of(max_of(value, low), high);
}

template <typename T>
struct Vec3 {
  T x, y, z;
};

template <typename T>
KERNELS_HD Vec3<T> load3(const T* p) {
  return {p[0], p[1], p[2]};
}

template <typename T>
KERNELS_HD Vec3<T> operator+(Vec3<T> a, Vec3<T> b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}

template <typename T>
KERNELS_HD Vec3<T> operator-(Vec3<T> a, Vec3<T> b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}

template <typename T>
KERNELS_HD Vec3<T> operator*(T s, Vec3<T> a) {
  return {s * a.x, s * a.y, s * a.z};
}

template <typename T>
KERNELS_HD T dot(Vec3<T> a, Vec3<T> b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}

template <typename T>
KERNELS_HD Vec3<T> cross(Vec3<T> a, Vec3<T> b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

// A pinhole camera in OpenCV's frame; pixel (x, y) has its centre at (x + 0.5, y + 0.5).
template <typename T>
struct Pinhole {
  T fx, fy, cx, cy;
};

// The direction with z = 1 of the ray through an image position in pixels.
template <typename T>
KERNELS_HD Vec3<T> pixel_ray(const Pinhole<T>& camera, T u, T v) {
  return {(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, T(1)};
}

}  // namespace kernels
