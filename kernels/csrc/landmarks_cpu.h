// The normal equations of a body that is seen as landmarks: posing with derivatives, residuals in the picture and in
// metres, Geman–McClure, Gauss–Newton sums. Double precision: the systems are small and stiff. The definition is
// kernels/landmarks_reference.py.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "platform.h"

extern "C" struct CarriedPointsData {
  const double *rest, *rest_betas, *weights;  // (pairs, 3), (pairs, 3, B), (pairs)
  const int *bones, *points;                  // (pairs) each: the bone that carries, the point that is carried
  const double *joints, *joints_betas;        // (J, 3), (J, 3, B)
  const int* parents;                         // (J), -1 for the root; parents come first
  int n_pairs, n_points, n_joints, n_betas;
};

extern "C" struct LandmarkSeenData {
  double fx, fy, cx, cy;
  const double *pixels, *metric;                               // (n, 2), (n, 3)
  const double *pixel_weight, *metric_weight, *metric_spread;  // (n), (n), (n, 3)
  double outlier, nearest_z;
};

extern "C" struct LandmarkSystemData {
  double* cost;
  double *gradient, *matrix;                              // (X), (X, X)
  double *points, *joints, *rest_joints, *world, *pixel;  // (n, 3), (J, 3), (J, 3), (J, 3, 3), (n, 2)
};

extern "C" struct RotationPullData {
  const double *targets, *lower, *upper, *slope;  // (J, 3, 3), (J, 3), (J, 3), (J, 3)
};

namespace kernels {

constexpr int kLane = 16, kBlock = 4;  // columns and rows of a product that are summed in registers

struct Matrix3 {
  double m[9];

  Vec3<double> times(Vec3<double> v) const {
    return {m[0] * v.x + m[1] * v.y + m[2] * v.z, m[3] * v.x + m[4] * v.y + m[5] * v.z,
            m[6] * v.x + m[7] * v.y + m[8] * v.z};
  }
  Vec3<double> transposed_times(Vec3<double> v) const {
    return {m[0] * v.x + m[3] * v.y + m[6] * v.z, m[1] * v.x + m[4] * v.y + m[7] * v.z,
            m[2] * v.x + m[5] * v.y + m[8] * v.z};
  }
};

inline void multiply(const double* a, const double* b, double* out) {
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) out[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
  }
}

// out (3, width) += a (3, 3) × b (3, width)
inline void add_product(const double* a, const double* b, int width, double* out) {
  for (int i = 0; i < 3; ++i) {
    for (int k = 0; k < 3; ++k) {
      for (int j = 0; j < width; ++j) out[i * width + j] += a[3 * i + k] * b[k * width + j];
    }
  }
}

// The smallest rotation from the optical axis to a direction.
inline Matrix3 turn_from_axis(Vec3<double> towards) {
  const double length = std::sqrt(dot(towards, towards));
  const Vec3<double> b = (1 / length) * towards;
  const double sine2 = b.x * b.x + b.y * b.y;
  if (sine2 < 1e-16) return b.z > 0 ? Matrix3{{1, 0, 0, 0, 1, 0, 0, 0, 1}} : Matrix3{{-1, 0, 0, 0, 1, 0, 0, 0, -1}};
  const double along = (1 - b.z) / sine2;
  return {{1 - along * b.x * b.x, -along * b.x * b.y, b.x, -along * b.x * b.y, 1 - along * b.y * b.y, b.y, -b.x, -b.y,
           b.z}};
}

// Rodrigues' formula.
inline void rotation_from_vector(const double* v, double* out) {
  const double square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2], angle = std::sqrt(square);
  const double s = angle > 1e-8 ? std::sin(angle) / angle : 1, c = angle > 1e-8 ? (1 - std::cos(angle)) / square : 0.5;
  const double x = v[0], y = v[1], z = v[2];
  const double r[9] = {1 - c * (y * y + z * z), c * x * y - s * z,       c * x * z + s * y,
                       c * x * y + s * z,       1 - c * (x * x + z * z), c * y * z - s * x,
                       c * x * z - s * y,       c * y * z + s * x,       1 - c * (x * x + y * y)};
  std::copy_n(r, 9, out);
}

// The rotation vector of targetᵀ · rotation, its angle in [0, π].
inline Vec3<double> relative_log(const double* target, const double* rotation) {
  double r[9];
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      r[3 * i + j] = target[i] * rotation[j] + target[3 + i] * rotation[3 + j] + target[6 + i] * rotation[6 + j];
    }
  }
  const Vec3<double> axis{0.5 * (r[7] - r[5]), 0.5 * (r[2] - r[6]), 0.5 * (r[3] - r[1])};
  const double sine = std::sqrt(dot(axis, axis)), cosine = 0.5 * (r[0] + r[4] + r[8] - 1);
  if (cosine > -0.9) return (sine > 1e-8 ? std::atan2(sine, cosine) / sine : 1.0) * axis;
  // near half a turn the antisymmetric part vanishes and with it the axis; quaternions keep it
  const int a = r[0] > r[4] ? (r[0] > r[8] ? 0 : 2) : (r[4] > r[8] ? 1 : 2), b = (a + 1) % 3, c = (a + 2) % 3;
  double q[3];
  q[a] = 0.5 * std::sqrt(max_of(1 + r[4 * a] - r[4 * b] - r[4 * c], 0.0));
  q[b] = (r[3 * a + b] + r[3 * b + a]) / (4 * q[a]);
  q[c] = (r[3 * a + c] + r[3 * c + a]) / (4 * q[a]);
  const double w = (r[3 * c + b] - r[3 * b + c]) / (4 * q[a]);
  const double length = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
  const double factor = 2 * std::atan2(length, std::fabs(w)) / length * (w < 0 ? -1 : 1);
  return {factor * q[0], factor * q[1], factor * q[2]};
}

// d log(R exp δ)/dδ at δ = 0 for φ = log R: the inverse of SO(3)'s right Jacobian, I + ½[φ] + c [φ]².
inline Matrix3 log_derivative(Vec3<double> v) {
  const double square = dot(v, v), angle = std::sqrt(square);
  const double c = angle > 1e-4 ? 1 / square - 1 / (2 * angle * std::tan(angle / 2)) : 1.0 / 12;
  return {{1 + c * (v.x * v.x - square), c * v.x * v.y - 0.5 * v.z, c * v.x * v.z + 0.5 * v.y,
           c * v.x * v.y + 0.5 * v.z, 1 + c * (v.y * v.y - square), c * v.y * v.z - 0.5 * v.x,
           c * v.x * v.z - 0.5 * v.y, c * v.y * v.z + 0.5 * v.x, 1 + c * (v.z * v.z - square)}};
}

// ½ Σ (slope (φ − clip φ))² for joint j; its gradient and matrix are added to the joint's block.
inline double pull_joint(const RotationPullData& pull, int j, const double* rotation, double* gradient, double* matrix,
                         int unknowns) {
  const Vec3<double> log = relative_log(pull.targets + 9 * j, rotation);
  const double phi[3] = {log.x, log.y, log.z};
  double residual[3], slope[3], cost = 0;
  for (int c = 0; c < 3; ++c) {
    const double low = pull.lower[3 * j + c], high = pull.upper[3 * j + c];
    const double beyond = phi[c] - clamp_to(phi[c], low, high);
    slope[c] = beyond != 0 || low == high ? pull.slope[3 * j + c] : 0;
    residual[c] = slope[c] * beyond;
    cost += 0.5 * residual[c] * residual[c];
  }
  const Matrix3 d = log_derivative(log);
  for (int a = 0; a < 3; ++a) {
    double* row = matrix + static_cast<size_t>(3 * j + a) * unknowns + 3 * j;
    for (int c = 0; c < 3; ++c) {
      const double weighted = slope[c] * d.m[3 * c + a];
      gradient[3 * j + a] += weighted * residual[c];
      for (int b = 0; b < 3; ++b) row[b] += weighted * slope[c] * d.m[3 * c + b];
    }
  }
  return cost;
}

// The posed skeleton: of `out` joints, rest_joints and world are filled.
inline void pose_skeleton(const CarriedPointsData& rig, const double* rotations, const double* betas,
                          const LandmarkSystemData& out) {
  const int shapes = rig.n_betas;
  for (int i = 0; i < 3 * rig.n_joints; ++i) {
    out.rest_joints[i] = rig.joints[i];
    for (int b = 0; b < shapes; ++b) out.rest_joints[i] += rig.joints_betas[i * shapes + b] * betas[b];
  }
  for (int j = 0; j < rig.n_joints; ++j) {
    const int p = rig.parents[j];
    double *world = out.world + 9 * j, *posed = out.joints + 3 * j;
    if (p < 0) {
      std::copy_n(rotations + 9 * j, 9, world);
      std::copy_n(out.rest_joints + 3 * j, 3, posed);
      continue;
    }
    multiply(out.world + 9 * p, rotations + 9 * j, world);
    double arm[3];
    for (int c = 0; c < 3; ++c) arm[c] = out.rest_joints[3 * j + c] - out.rest_joints[3 * p + c];
    std::copy_n(out.joints + 3 * p, 3, posed);
    add_product(out.world + 9 * p, arm, 1, posed);
  }
}

class Linearisation {
 public:
  void run(const CarriedPointsData& rig, const double* rotations, const double* betas, const double* transl,
           const LandmarkSeenData& seen, const LandmarkSystemData& out) {
    unknowns_ = 3 * rig.n_joints + rig.n_betas + 3;
    stride_ = (unknowns_ + kLane - 1) / kLane * kLane;
    chain(rig, rotations, betas, out);
    carry(rig, betas, out);
    by_rotation(rig, out);
    rows_.assign(static_cast<size_t>(5) * rig.n_points * stride_, 0.0);
    residuals_.assign(static_cast<size_t>(5) * rig.n_points, 0.0);
    *out.cost = pixel_rows(rig, transl, seen, out) + metric_rows(rig, transl, seen, out);
    sum(out);
  }

 private:
  double* jacobian(int point, int axis) { return &jacobian_[(static_cast<size_t>(point) * 3 + axis) * stride_]; }

  // The skeleton, and its joints' derivatives by β.
  void chain(const CarriedPointsData& rig, const double* rotations, const double* betas,
             const LandmarkSystemData& out) {
    pose_skeleton(rig, rotations, betas, out);
    const int width = 3 * rig.n_betas;
    d_joints_.resize(static_cast<size_t>(rig.n_joints) * width);
    std::vector<double> bone(width);
    for (int j = 0; j < rig.n_joints; ++j) {
      const int p = rig.parents[j];
      const double* own = rig.joints_betas + width * j;
      double* slope = &d_joints_[width * j];
      if (p < 0) {
        std::copy_n(own, width, slope);
        continue;
      }
      for (int i = 0; i < width; ++i) bone[i] = own[i] - rig.joints_betas[width * p + i];
      std::copy_n(&d_joints_[width * p], width, slope);
      add_product(out.world + 9 * p, bone.data(), rig.n_betas, slope);
    }
  }

  // Where each bone takes its share of each point, and the points' derivatives by β.
  void carry(const CarriedPointsData& rig, const double* betas, const LandmarkSystemData& out) {
    const int width = rig.n_betas, first = 3 * rig.n_joints;
    moved_.assign(static_cast<size_t>(rig.n_pairs) * 3, 0.0);
    jacobian_.assign(static_cast<size_t>(rig.n_points) * 3 * stride_, 0.0);
    std::fill_n(out.points, 3 * rig.n_points, 0.0);
    std::vector<double> slope(3 * width);
    for (int i = 0; i < rig.n_pairs; ++i) {
      const int bone = rig.bones[i], point = rig.points[i];
      const double weight = rig.weights[i], *world = out.world + 9 * bone;
      double arm[3];
      for (int c = 0; c < 3; ++c) {
        arm[c] = rig.rest[3 * i + c];
        for (int b = 0; b < width; ++b) arm[c] += rig.rest_betas[(3 * i + c) * width + b] * betas[b];
      }
      for (int j = 0; j < 3 * width; ++j) slope[j] = weight * d_joints_[3 * width * bone + j];
      add_product(world, rig.rest_betas + 3 * width * i, width, slope.data());
      double* moved = &moved_[3 * i];
      for (int c = 0; c < 3; ++c) moved[c] = weight * out.joints[3 * bone + c];
      add_product(world, arm, 1, moved);
      for (int c = 0; c < 3; ++c) {
        out.points[3 * point + c] += moved[c];
        double* row = jacobian(point, c) + first;
        for (int b = 0; b < width; ++b) row[b] += slope[c * width + b];
      }
    }
    for (int k = 0; k < rig.n_points; ++k) {
      for (int c = 0; c < 3; ++c) jacobian(k, c)[unknowns_ - 3 + c] = 1.0;
    }
  }

  // Turning joint j by δ in its own frame moves what hangs below it by (R_j δ) × lever = −[lever]× R_j δ.
  void by_rotation(const CarriedPointsData& rig, const LandmarkSystemData& out) {
    for (int i = 0; i < rig.n_pairs; ++i) {
      for (int j = rig.bones[i]; j >= 0; j = rig.parents[j]) {
        const double *world = out.world + 9 * j, *pivot = out.joints + 3 * j;
        double lever[3];
        for (int c = 0; c < 3; ++c) lever[c] = moved_[3 * i + c] - rig.weights[i] * pivot[c];
        double* rows[3] = {jacobian(rig.points[i], 0) + 3 * j, jacobian(rig.points[i], 1) + 3 * j,
                           jacobian(rig.points[i], 2) + 3 * j};
        for (int c = 0; c < 3; ++c) {
          rows[0][c] += lever[2] * world[3 + c] - lever[1] * world[6 + c];
          rows[1][c] += lever[0] * world[6 + c] - lever[2] * world[c];
          rows[2][c] += lever[1] * world[c] - lever[0] * world[3 + c];
        }
      }
    }
  }

  // Scales `count` rows from `first` by Geman–McClure's factor and gives back their part of the cost.
  double weigh(int first, int count, double outlier) {
    double squared = 0;
    for (int r = first; r < first + count; ++r) squared += residuals_[r] * residuals_[r];
    const double shrink = 1 / (1 + squared / (outlier * outlier));
    for (int r = first; r < first + count; ++r) {
      residuals_[r] *= shrink;
      double* row = &rows_[static_cast<size_t>(r) * stride_];
      for (int x = 0; x < unknowns_; ++x) row[x] *= shrink;
    }
    return 0.5 * squared * shrink;
  }

  double pixel_rows(const CarriedPointsData& rig, const double* transl, const LandmarkSeenData& seen,
                    const LandmarkSystemData& out) {
    double cost = 0;
    for (int k = 0; k < rig.n_points; ++k) {
      const double x = out.points[3 * k] + transl[0], y = out.points[3 * k + 1] + transl[1];
      const double z = out.points[3 * k + 2] + transl[2];
      const double weight = seen.pixel_weight[k];
      out.pixel[2 * k] = out.pixel[2 * k + 1] = 0;
      if (!(z > seen.nearest_z)) {
        // as much as one that is infinitely far off: else bodies would be fitted best where the camera is
        if (weight > 0) cost += 0.5 * seen.outlier * seen.outlier;
        continue;
      }
      const double focal[2] = {seen.fx, seen.fy}, middle[2] = {seen.cx, seen.cy};
      const double across[2] = {x, y};
      for (int c = 0; c < 2; ++c) {
        const double u = focal[c] * across[c] / z + middle[c];
        out.pixel[2 * k + c] = residuals_[2 * k + c] = weight * (u - seen.pixels[2 * k + c]);
        const double slope = weight * focal[c] / z, fall = -slope * across[c] / z;
        double* row = &rows_[static_cast<size_t>(2 * k + c) * stride_];
        const double *j = jacobian(k, c), *jz = jacobian(k, 2);
        for (int i = 0; i < unknowns_; ++i) row[i] = slope * j[i] + fall * jz[i];
      }
      cost += weigh(2 * k, 2, seen.outlier);
    }
    return cost;
  }

  // The landmarks in metres, moved and scaled (not turned) onto the points: both as known only up to these.
  std::vector<Vec3<double>> target(const CarriedPointsData& rig, const Matrix3& turn, const LandmarkSeenData& seen,
                                   const LandmarkSystemData& out, double total) {
    std::vector<Vec3<double>> turned(rig.n_points);
    Vec3<double> middle{0, 0, 0}, goal{0, 0, 0};
    for (int k = 0; k < rig.n_points; ++k) {
      const double share = seen.metric_weight[k] / total;
      turned[k] = turn.times(load3(seen.metric + 3 * k));
      middle = middle + share * turned[k];
      goal = goal + share * load3(out.points + 3 * k);
    }
    double together = 0, alone = 0;
    for (int k = 0; k < rig.n_points; ++k) {
      const double share = seen.metric_weight[k] / total;
      const Vec3<double> off = turned[k] - middle;
      together += share * dot(off, load3(out.points + 3 * k) - goal);
      alone += share * dot(off, off);
    }
    const double scale = max_of(together / max_of(alone, 1e-9), 0.1);
    for (auto& t : turned) t = goal + scale * (t - middle);
    return turned;
  }

  double metric_rows(const CarriedPointsData& rig, const double* transl, const LandmarkSeenData& seen,
                     const LandmarkSystemData& out) {
    const Matrix3 turn = turn_from_axis(load3(out.joints) + load3(transl));
    double total = 0, cost = 0;
    for (int k = 0; k < rig.n_points; ++k) total += seen.metric_weight[k];
    const auto goal = target(rig, turn, seen, out, total);
    const int moving = unknowns_ - 3;  // the position of the body changes nothing here
    std::vector<double> mean(3 * static_cast<size_t>(stride_), 0.0);
    for (int k = 0; k < rig.n_points; ++k) {
      for (int c = 0; c < 3; ++c) {
        const double *row = jacobian(k, c), share = seen.metric_weight[k] / total;
        for (int i = 0; i < moving; ++i) mean[c * stride_ + i] += share * row[i];
      }
    }
    for (int k = 0; k < rig.n_points; ++k) {
      const int first = 2 * rig.n_points + 3 * k;
      const Vec3<double> off = turn.transposed_times(load3(out.points + 3 * k) - goal[k]);
      const double offset[3] = {off.x, off.y, off.z};
      for (int c = 0; c < 3; ++c) {
        const double weight = seen.metric_weight[k] / seen.metric_spread[3 * k + c];
        residuals_[first + c] = weight * offset[c];
        double* row = &rows_[static_cast<size_t>(first + c) * stride_];
        for (int d = 0; d < 3; ++d) {
          const double factor = weight * turn.m[3 * d + c], *j = jacobian(k, d), *m = &mean[d * stride_];
          for (int i = 0; i < moving; ++i) row[i] += factor * (j[i] - m[i]);
        }
      }
      cost += weigh(first, 3, seen.outlier);
    }
    return cost;
  }

  void sum(const LandmarkSystemData& out) {
    const int rows = static_cast<int>(residuals_.size());
    std::fill_n(out.gradient, unknowns_, 0.0);
    for (int r = 0; r < rows; ++r) {
      const double* row = &rows_[static_cast<size_t>(r) * stride_];
      for (int i = 0; i < unknowns_; ++i) out.gradient[i] += row[i] * residuals_[r];
    }
    for (int i = 0; i < unknowns_; i += kBlock) {
      used_.clear();
      for (int r = 0; r < rows; ++r) {
        // the padding after the last unknown is 0, so a whole block may always be read
        const double* at = &rows_[static_cast<size_t>(r) * stride_ + i];
        if (at[0] != 0 || at[1] != 0 || at[2] != 0 || at[3] != 0) used_.push_back(r);
      }
      for (int j = i / kLane * kLane; j < unknowns_; j += kLane) sum_block(i, j, out.matrix);
    }
  }

  // The matrix's entries of the unknowns (i, …) with (j, …), summed over the rows that know anything of the former.
  void sum_block(int i, int j, double* matrix) const {
    double sums[kBlock][kLane] = {};
    for (const int r : used_) {
      const double* row = &rows_[static_cast<size_t>(r) * stride_];
      for (int q = 0; q < kBlock; ++q) {
#pragma omp simd
        for (int c = 0; c < kLane; ++c) sums[q][c] += row[i + q] * row[j + c];
      }
    }
    for (int q = 0; q < min_of(kBlock, unknowns_ - i); ++q) {
      for (int c = max_of(i + q - j, 0); c < min_of(kLane, unknowns_ - j); ++c) {
        matrix[(i + q) * unknowns_ + j + c] = matrix[(j + c) * unknowns_ + i + q] = sums[q][c];
      }
    }
  }

  std::vector<int> used_;
  int unknowns_ = 0, stride_ = 0;
  std::vector<double> d_joints_, moved_, jacobian_, rows_, residuals_;
};

// The skeleton and the points that it carries.
inline void pose_points(const CarriedPointsData& rig, const double* rotations, const double* betas,
                        const LandmarkSystemData& out) {
  const int shapes = rig.n_betas;
  pose_skeleton(rig, rotations, betas, out);
  std::fill_n(out.points, 3 * rig.n_points, 0.0);
  for (int i = 0; i < rig.n_pairs; ++i) {
    const int bone = rig.bones[i];
    double arm[3], *point = out.points + 3 * rig.points[i];
    for (int c = 0; c < 3; ++c) {
      arm[c] = rig.rest[3 * i + c];
      for (int b = 0; b < shapes; ++b) arm[c] += rig.rest_betas[(3 * i + c) * shapes + b] * betas[b];
      point[c] += rig.weights[i] * out.joints[3 * bone + c];
    }
    add_product(out.world + 9 * bone, arm, 1, point);
  }
}

// ½ Σ r² of a pull at these rotations (J, 3, 3); gradient (X) and matrix (X, X) are added to.
inline double pull_all(const RotationPullData& pull, const double* rotations, int joints, int unknowns,
                       double* gradient, double* matrix) {
  double cost = 0;
  for (int j = 0; j < joints; ++j) {
    const double* slope = pull.slope + 3 * j;
    if (slope[0] == 0 && slope[1] == 0 && slope[2] == 0) continue;
    cost += pull_joint(pull, j, rotations + 9 * j, gradient, matrix, unknowns);
  }
  return cost;
}

}  // namespace kernels
