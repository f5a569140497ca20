// Skins a whole mesh: shape, pose correctives, linear blend. The definition is in kernels/skin.py.

#include <algorithm>
#include <vector>

#include "platform.h"

extern "C" struct SkinData {
  const float *rest, *shapes;           // (V, 3), (B, V, 3)
  const int *starts, *bones;            // (V + 1), (pairs): vertex v hangs on bones[starts[v] .. starts[v + 1])
  const float* weights;                 // (pairs)
  const int *touched, *bends;           // (n) each: the vertex that is corrected, the joint that corrects it
  const float* offsets;                 // (n, 3, 9)
  const double *joints, *joint_shapes;  // (J, 3), (J, 3, B)
  const int* parents;                   // (J), -1 for the root; parents come first
  int n_vertices, n_corrections, n_joints, n_shapes;
};

namespace kernels {
namespace {

constexpr int kChunk = 1024;  // numbers of a mesh that stay in the cache while all shapes are added to them

void add_shapes(const SkinData& skin, const double* betas, float* rest) {
  const int count = 3 * skin.n_vertices;
  for (int first = 0; first < count; first += kChunk) {
    const int last = std::min(first + kChunk, count);
    std::copy(skin.rest + first, skin.rest + last, rest + first);
    for (int k = 0; k < skin.n_shapes; ++k) {
      const auto beta = static_cast<float>(betas[k]);
      const float* shape = skin.shapes + static_cast<long>(k) * count;
#pragma omp simd
      for (int i = first; i < last; ++i) rest[i] += beta * shape[i];
    }
  }
}

void add_correctives(const SkinData& skin, const double* rotations, float* rest) {
  std::vector<float> bent(9 * skin.n_joints);
  for (int i = 0; i < 9 * skin.n_joints; ++i) bent[i] = static_cast<float>(rotations[i] - (i % 9 % 4 == 0 ? 1 : 0));
  for (int e = 0; e < skin.n_corrections; ++e) {
    const float *by = bent.data() + 9 * skin.bends[e], *offset = skin.offsets + 27 * static_cast<long>(e);
    float* at = rest + 3 * skin.touched[e];
    for (int c = 0; c < 3; ++c) {
      for (int i = 0; i < 9; ++i) at[c] += offset[9 * c + i] * by[i];
    }
  }
}

Vec3<double> rest_joint(const SkinData& skin, const double* betas, int joint) {
  double at[3];
  for (int c = 0; c < 3; ++c) {
    const double* shapes = skin.joint_shapes + static_cast<long>(3 * joint + c) * skin.n_shapes;
    at[c] = skin.joints[3 * joint + c];
    for (int k = 0; k < skin.n_shapes; ++k) at[c] += shapes[k] * betas[k];
  }
  return load3(at);
}

Vec3<double> turned(const double* rotation, Vec3<double> v) {
  return {dot(load3(rotation), v), dot(load3(rotation + 3), v), dot(load3(rotation + 6), v)};
}

// (J, 3, 4): what takes a point at rest, bound to a joint, to its place in the camera's frame.
std::vector<float> bone_transforms(const SkinData& skin, const double* rotations, const double* betas,
                                   const double* transl) {
  std::vector<double> world(9 * skin.n_joints);
  std::vector<Vec3<double>> rest(skin.n_joints), place(skin.n_joints);
  std::vector<float> bones(12 * skin.n_joints);
  for (int j = 0; j < skin.n_joints; ++j) {
    const int parent = skin.parents[j];
    double* own = world.data() + 9 * j;
    rest[j] = rest_joint(skin, betas, j);
    if (parent < 0) {
      std::copy(rotations + 9 * j, rotations + 9 * j + 9, own);
      place[j] = rest[j];
    } else {
      const double *above = world.data() + 9 * parent, *turn = rotations + 9 * j;
      for (int i = 0; i < 9; ++i) {
        const double *row = above + i / 3 * 3, *column = turn + i % 3;
        own[i] = row[0] * column[0] + row[1] * column[3] + row[2] * column[6];
      }
      place[j] = place[parent] + turned(above, rest[j] - rest[parent]);
    }
    const Vec3<double> offset = place[j] - turned(own, rest[j]) + load3(transl);
    const double column[3] = {offset.x, offset.y, offset.z};
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 3; ++c) bones[12 * j + 4 * r + c] = static_cast<float>(own[3 * r + c]);
      bones[12 * j + 4 * r + 3] = static_cast<float>(column[r]);
    }
  }
  return bones;
}

void blend(const SkinData& skin, const float* bones, float* vertices) {
  for (int v = 0; v < skin.n_vertices; ++v) {
    float by[12] = {};
    for (int pair = skin.starts[v]; pair < skin.starts[v + 1]; ++pair) {
      const float weight = skin.weights[pair], *bone = bones + 12 * skin.bones[pair];
      for (int i = 0; i < 12; ++i) by[i] += weight * bone[i];
    }
    float* at = vertices + 3 * v;
    const Vec3<float> p = load3(at);
    for (int r = 0; r < 3; ++r) at[r] = by[4 * r] * p.x + by[4 * r + 1] * p.y + by[4 * r + 2] * p.z + by[4 * r + 3];
  }
}

}  // namespace

extern "C" {

// rotations (J, 3, 3) of each joint relative to its parent; betas (B); transl (3) m; vertices (V, 3) m.
void skin_vertices(const SkinData* skin, const double* rotations, const double* betas, const double* transl,
                   float* vertices) {
  add_shapes(*skin, betas, vertices);
  add_correctives(*skin, rotations, vertices);
  blend(*skin, bone_transforms(*skin, rotations, betas, transl).data(), vertices);
}

}  // extern "C"
}  // namespace kernels
