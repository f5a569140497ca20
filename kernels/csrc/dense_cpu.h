// Symmetric matrices of a hundred rows: too small for a library's blocks and threads. Row by row, double precision.
#pragma once

#include <cmath>
#include <cstddef>

namespace kernels {

inline double dot_of(const double* a, const double* b, int n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// to -= scale · from
inline void subtract_scaled(double scale, const double* from, double* to, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) to[i] -= scale * from[i];
}

// The upper triangle of a symmetric a (n, n) becomes U, a = UᵀU; what is below stays. False where a is not positive
// definite.
inline bool factor_in_place(double* a, int n) {
  for (int k = 0; k < n; ++k) {
    double* row = a + static_cast<size_t>(k) * n;
    if (!(row[k] > 0)) return false;
    const double root = std::sqrt(row[k]);
    for (int j = k; j < n; ++j) row[j] /= root;
    for (int i = k + 1; i < n; ++i) subtract_scaled(row[i], row + i, a + static_cast<size_t>(i) * n + i, n - i);
  }
  return true;
}

// Solves UᵀU x = b for U in the upper triangle of u (n, n); b becomes x.
inline void solve_factored(const double* u, double* b, int n) {
  for (int k = 0; k < n; ++k) {
    const double* row = u + static_cast<size_t>(k) * n;
    b[k] /= row[k];
    subtract_scaled(b[k], row + k + 1, b + k + 1, n - k - 1);
  }
  for (int k = n - 1; k >= 0; --k) {
    const double* row = u + static_cast<size_t>(k) * n;
    b[k] = (b[k] - dot_of(row + k + 1, b + k + 1, n - k - 1)) / row[k];
  }
}

// out (n, n) = the inverse of U in the upper triangle of u; 0 below the diagonal.
inline void invert_factor(const double* u, double* out, int n) {
  for (int i = n - 1; i >= 0; --i) {
    const double* row = u + static_cast<size_t>(i) * n;
    double* to = out + static_cast<size_t>(i) * n;
    for (int j = 0; j < n; ++j) to[j] = 0;
    for (int k = i + 1; k < n; ++k) subtract_scaled(row[k], out + static_cast<size_t>(k) * n + k, to + k, n - k);
    to[i] = 1;
    for (int j = i; j < n; ++j) to[j] /= row[i];
  }
}

}  // namespace kernels
