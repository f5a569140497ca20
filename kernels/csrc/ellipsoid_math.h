// Gaussian ellipsoids along rays: response, transmittance, likelihood, and their derivatives. See docs/kernels.md.
#pragma once

#include "platform.h"

namespace kernels {

// --- special functions
// ------------------------------------------------------------------------------------------------

KERNELS_HD double exp_of(double x) { return exp(x); }

// e^x for x ≤ 0 and moderate positive x. Cephes' polynomial, relative error below 2e-7; on a CPU it compiles to vector
// instructions, which the library's does not.
KERNELS_HD float exp_of(float x) {
#if defined(__CUDA_ARCH__)
  return expf(x);
#else
  const float clamped = clamp_to(x, -87.0f, 88.0f);
  const float n = rintf(clamped * 1.44269504f);
  const float r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int bits = (static_cast<int>(n) + 127) << 23;
  float scale;
  __builtin_memcpy(&scale, &bits, sizeof(scale));
  return p * scale;
#endif
}

template <typename T>
struct NormalCdf {
  T cdf, pdf;  // ½(1 + erf(x/√2)) and its derivative
};

KERNELS_HD NormalCdf<double> normal_cdf(double x) {
  return {0.5 * erfc(-x * 0.70710678118654752440), 0.39894228040143267794 * exp(-0.5 * x * x)};
}

// Abramowitz and Stegun 7.1.26: error below 1.5e-7. Its exponential is the density that the gradient needs as well. The
// exponent is held above -40: farther out the tails are nothing, and as denormal numbers they would cost a hundred
// times as much.
KERNELS_HD NormalCdf<float> normal_cdf(float x) {
  const float z = fabsf(x) * 0.70710678f;
  const float bell = exp_of(max_of(-z * z, -40.0f)), t = 1.0f / (1.0f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = 0.5f * p * t * bell;
  return {x >= 0 ? 1.0f - tail : tail, 0.39894228f * bell};
}

template <typename T>
KERNELS_HD T softplus(T x) {
  const T magnitude = x < 0 ? -x : x;
  return max_of(x, T(0)) + T(log1p(exp_of(-magnitude)));
}

template <typename T>
KERNELS_HD T sigmoid(T x) {
  const T small = exp_of(x < 0 ? x : -x);
  return (x < 0 ? small : T(1)) / (T(1) + small);
}

// --- one kernel and one ray
// -------------------------------------------------------------------------------------------

// A symmetric matrix. As a gradient it holds the entries of the symmetric matrix G with dL = Σ_ij G_ij dA_ij.
template <typename T>
struct Sym3 {
  T xx, xy, xz, yy, yz, zz;
};

// The symmetric part of a 3×3 matrix stored by rows.
template <typename T>
KERNELS_HD Sym3<T> load_sym3(const T* p) {
  const T half = T(0.5);
  return {p[0], half * (p[1] + p[3]), half * (p[2] + p[6]), p[4], half * (p[5] + p[7]), p[8]};
}

template <typename T>
KERNELS_HD void store_sym3(const Sym3<T>& a, T* p) {
  p[0] = a.xx;
  p[1] = p[3] = a.xy;
  p[2] = p[6] = a.xz;
  p[4] = a.yy;
  p[5] = p[7] = a.yz;
  p[8] = a.zz;
}

template <typename T>
KERNELS_HD Vec3<T> operator*(const Sym3<T>& a, Vec3<T> v) {
  return {a.xx * v.x + a.xy * v.y + a.xz * v.z, a.xy * v.x + a.yy * v.y + a.yz * v.z,
          a.xz * v.x + a.yz * v.y + a.zz * v.z};
}

template <typename T>
struct RayResponse {
  T a;  // dᵀAd, 1/m²: how sharply the kernel is bounded along the ray
  T l;  // m: where along the ray it peaks
  T q;  // activation exponent: it peaks at e^{-q}
};

// d: the ray's unit direction; m: the kernel's centre. q is taken from the residual m − l d, because the textbook form
// ½(MᵀAM − a l²) subtracts two numbers that are thousands of times larger.
template <typename T>
KERNELS_HD RayResponse<T> ray_response(Vec3<T> d, Vec3<T> m, const Sym3<T>& precision) {
  const Vec3<T> ad = precision * d;
  const T a = dot(d, ad), l = dot(ad, m) / a;
  const Vec3<T> r = m - l * d;
  return {a, l, T(0.5) * dot(r, precision * r)};
}

template <typename T>
struct KernelGradient {
  Vec3<T> centre;
  Sym3<T> precision;
};

// Gradient of L through a, l and q, given dL/da, dL/dl, dL/dq. With r = m − l d: dq = (Ar)·dm + ½ rᵀ dA r,
// dl = (Ad)·dm / a + dᵀ dA r / a, da = dᵀ dA d.
template <typename T>
KERNELS_HD KernelGradient<T> ray_response_backward(Vec3<T> d, Vec3<T> m, const Sym3<T>& precision, RayResponse<T> at,
                                                   RayResponse<T> g) {
  const Vec3<T> r = m - at.l * d;
  const T gl = g.l / at.a, hq = T(0.5) * g.q, hl = T(0.5) * gl;
  const Vec3<T> centre = g.q * (precision * r) + gl * (precision * d);
  return {centre,
          {hq * r.x * r.x + gl * d.x * r.x + g.a * d.x * d.x,
           hq * r.x * r.y + hl * (d.x * r.y + d.y * r.x) + g.a * d.x * d.y,
           hq * r.x * r.z + hl * (d.x * r.z + d.z * r.x) + g.a * d.x * d.z,
           hq * r.y * r.y + gl * d.y * r.y + g.a * d.y * d.y,
           hq * r.y * r.z + hl * (d.y * r.z + d.z * r.y) + g.a * d.y * d.z,
           hq * r.z * r.z + gl * d.z * r.z + g.a * d.z * d.z}};
}

template <typename T>
KERNELS_HD Vec3<T> unit_ray(const Pinhole<T>& camera, int x, int y) {
  const Vec3<T> ray = pixel_ray(camera, T(x) + T(0.5), T(y) + T(0.5));
  return (T(1) / T(sqrt(dot(ray, ray)))) * ray;
}

// --- which pixels a kernel can reach
// ----------------------------------------------------------------------------------

struct PixelBox {
  int x0, x1, y0, y1;  // first pixel, one past the last; empty if x0 >= x1
};

// From C, entries (cii, ciz, czz) of 2QΣ − MMᵀ: the tangents u = x/z of the ellipsoid's outline along one image axis,
// as the pixels [first, last) whose centres lie between them, with a margin for rounding.
KERNELS_HD void outline_range(double cii, double ciz, double czz, double focal, double centre, int size, int* first,
                              int* last) {
  const double root = sqrt(max_of(ciz * ciz - cii * czz, 0.0));
  const double low = (ciz + root) / czz * focal + centre, high = (ciz - root) / czz * focal + centre;
  constexpr double kMargin = 0.01;
  *first = (int)clamp_to(ceil(low - 0.5 - kMargin), 0.0, (double)size);
  *last = (int)clamp_to(floor(high - 0.5 + kMargin) + 1.0, 0.0, (double)size);
}

// The pixels where e^{-q} can exceed e^{-limit}: the box around the outline of the ellipsoid (x−M)ᵀA(x−M) = 2·limit.
// A kernel whose centre is not beyond `near` takes no part; one that reaches the camera's plane may be seen anywhere.
template <typename T>
KERNELS_HD PixelBox kernel_box(const Pinhole<T>& camera, Vec3<T> centre, const Sym3<T>& precision, T near, T limit,
                               int width, int height) {
  if (!(centre.z > near)) return {0, 0, 0, 0};
  const double xx = precision.xx, xy = precision.xy, xz = precision.xz;
  const double yy = precision.yy, yz = precision.yz, zz = precision.zz;
  const double axx = yy * zz - yz * yz, axy = xz * yz - xy * zz, axz = xy * yz - xz * yy;
  const double ayy = xx * zz - xz * xz, ayz = xy * xz - xx * yz, azz = xx * yy - xy * xy;
  const double determinant = xx * axx + xy * axy + xz * axz;
  const double scale = 2 * (double)limit / determinant;
  const double mx = centre.x, my = centre.y, mz = centre.z;
  const double czz = scale * azz - mz * mz;
  const PixelBox everywhere = {0, width, 0, height};
  if (!(determinant > 0) || !(czz < 0)) return everywhere;
  PixelBox box;
  outline_range(scale * axx - mx * mx, scale * axz - mx * mz, czz, camera.fx, camera.cx, width, &box.x0, &box.x1);
  outline_range(scale * ayy - my * my, scale * ayz - my * mz, czz, camera.fy, camera.cy, height, &box.y0, &box.y1);
  return box;
}

// --- the observation model: one pixel's likelihood, with body and without. Written here alone for host and device;
// `ellipsoids_reference.pixel_likelihood` is its definition.

template <typename T>
struct PixelTerms {
  T base;    // log N_fg − log N_bg where the rendered feature is at right angles to the observed one
  T weight;  // how much the pixel counts
  T mask;    // where a person is seen, 0..1
};

template <typename T>
struct LikelihoodSettings {
  T concentration;  // 1/σ_f²
  T mask_weight;
};

template <typename T>
struct PixelLikelihood {
  T nll;        // relative to the background explaining everything
  T occlusion;  // posterior that the background explains the pixel
  T g_cosine, g_coverage;
};

// cosine: of the observed and the rendered feature, times the observed one's length.
template <typename T>
KERNELS_HD PixelLikelihood<T> pixel_likelihood(const LikelihoodSettings<T>& settings, const PixelTerms<T>& pixel,
                                               T cosine, T coverage) {
  const T delta = pixel.base + settings.concentration * cosine;
  const T gain = T(0.69314718055994530942) - softplus(delta), miss = coverage - pixel.mask;
  return {pixel.weight * (coverage * gain + settings.mask_weight * miss * miss), sigmoid(-delta),
          -pixel.weight * coverage * sigmoid(delta) * settings.concentration,
          pixel.weight * (gain + 2 * settings.mask_weight * miss)};
}

// What a pixel costs where no kernel contributes: the same for a coverage of 0.
template <typename T>
KERNELS_HD T empty_pixel_nll(const LikelihoodSettings<T>& settings, const PixelTerms<T>& pixel) {
  return pixel.weight * settings.mask_weight * pixel.mask * pixel.mask;
}

// A rendered feature shorter than this has no direction.
template <typename T>
constexpr T kShortestFeature = T(1e-12);

// dcosine/dfeature = along · observed − back · feature, for the loss's derivative by the cosine.
template <typename T>
struct CosineSlope {
  T along, back;
};

template <typename T>
KERNELS_HD CosineSlope<T> cosine_slope(T g_cosine, T cosine, T length) {
  const T along = g_cosine / length;
  return {along, along * cosine / length};
}

}  // namespace kernels
