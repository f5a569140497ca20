// Rotation vectors to matrices and back, many at once, as numpy's callers need them: without numpy's overhead for each
// of twenty small operations.

#include "landmarks_cpu.h"

extern "C" void rotations_from_vectors(const double* vectors, int count, double* matrices) {
  for (int i = 0; i < count; ++i) kernels::rotation_from_vector(vectors + 3 * i, matrices + 9 * i);
}

// Angles in [0, π].
extern "C" void vectors_from_rotations(const double* matrices, int count, double* vectors) {
  constexpr double kIdentity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  for (int i = 0; i < count; ++i) {
    const kernels::Vec3<double> v = kernels::relative_log(kIdentity, matrices + 9 * i);
    vectors[3 * i] = v.x, vectors[3 * i + 1] = v.y, vectors[3 * i + 2] = v.z;
  }
}
