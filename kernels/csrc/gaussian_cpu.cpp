// Gaussians over a pose's unknowns, in their precision: what is left of some of them, and their standard form. The
// definition is in kernels/gaussian.py.

#include <algorithm>
#include <vector>

#include "dense_cpu.h"
#include "platform.h"

namespace kernels {
namespace {

// J with exp(ω + dω) = exp(ω) exp(J dω): I − b[ω] + c[ω]², row-major.
void right_jacobian(const double* v, double* out) {
  const double square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2], angle = std::sqrt(square);
  const bool small = angle < 1e-4;
  const double b = small ? 0.5 : (1 - std::cos(angle)) / square;
  const double c = small ? 1.0 / 6 : (angle - std::sin(angle)) / (square * angle);
  const double x = v[0], y = v[1], z = v[2];
  const double j[9] = {1 + c * (x * x - square), c * x * y + b * z,        c * x * z - b * y,
                       c * x * y - b * z,        1 + c * (y * y - square), c * y * z + b * x,
                       c * x * z + b * y,        c * y * z - b * x,        1 + c * (z * z - square)};
  std::copy_n(j, 9, out);
}

// Three neighbouring numbers of a row times a (3, 3).
void turn_row(double* row, const double* by) {
  const double a = row[0], b = row[1], c = row[2];
  for (int k = 0; k < 3; ++k) row[k] = a * by[k] + b * by[3 + k] + c * by[6 + k];
}

// Three neighbouring rows of (n, n): the transpose of a (3, 3) times them.
void turn_rows(double* rows, const double* by, int n) {
  double *a = rows, *b = rows + n, *c = rows + 2 * static_cast<size_t>(n);
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const double p = a[i], q = b[i], r = c[i];
    a[i] = by[0] * p + by[3] * q + by[6] * r;
    b[i] = by[1] * p + by[4] * q + by[7] * r;
    c[i] = by[2] * p + by[5] * q + by[8] * r;
  }
}

}  // namespace
}  // namespace kernels

// out (last − first, last − first): the precision of those unknowns once all the others are left open.
extern "C" void gaussian_marginal(const double* precision, int n, int first, int last, double* out) {
  const int kept = last - first, others = n - kept;
  std::vector<int> order;
  for (int i = 0; i < n; ++i) {
    if (i < first || i >= last) order.push_back(i);
  }
  for (int i = first; i < last; ++i) order.push_back(i);
  std::vector<double> a(static_cast<size_t>(n) * n);
  for (int i = 0; i < n; ++i) {
    for (int j = i; j < n; ++j)
      a[static_cast<size_t>(i) * n + j] = precision[static_cast<size_t>(order[i]) * n + order[j]];
  }
  for (int k = 0; k < others; ++k) {
    const double* row = &a[static_cast<size_t>(k) * n];
    if (!(row[k] > 0)) continue;  // nothing is known of it, and it says nothing of the others
    for (int i = k + 1; i < n; ++i) {
      kernels::subtract_scaled(row[i] / row[k], row + i, &a[static_cast<size_t>(i) * n + i], n - i);
    }
  }
  for (int i = 0; i < kept; ++i) {
    for (int j = i; j < kept; ++j) {
      out[i * kept + j] = out[j * kept + i] = a[static_cast<size_t>(others + i) * n + others + j];
    }
  }
}

// precision (n, n), of which the first 3 J unknowns are small rotations at theta (J, 3). root (n, n): U, upper
// triangular, with UᵀU the precision of the axis-angles; units (n, n): its inverse. False where it is not positive
// definite.
extern "C" int gaussian_standard(const double* precision, const double* theta, int joints, int n, double* root,
                                 double* units) {
  std::copy_n(precision, static_cast<size_t>(n) * n, root);
  for (int j = 0; j < joints; ++j) {
    double turn[9];
    kernels::right_jacobian(theta + 3 * j, turn);
    for (int i = 0; i < n; ++i) kernels::turn_row(root + static_cast<size_t>(i) * n + 3 * j, turn);
    kernels::turn_rows(root + static_cast<size_t>(3 * j) * n, turn, n);
  }
  if (!kernels::factor_in_place(root, n)) return 0;
  for (int i = 1; i < n; ++i) std::fill_n(root + static_cast<size_t>(i) * n, i, 0.0);
  kernels::invert_factor(root, units, n);
  return 1;
}
