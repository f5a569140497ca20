// Levenberg–Marquardt on a body's landmarks and everything else that is known of its pose, without returning to Python
// between the steps. The definition is kernels/landmark_fit_reference.py.

#include <cmath>

#include "dense_cpu.h"
#include "landmarks_cpu.h"

// r = code + slope · log(rotationsᵀ R): a residual that is linear in how far the joints have turned.
extern "C" struct LinearPullData {
  const double *rotations, *code, *slope, *matrix;  // (J, 3, 3), (n), (n, 3 J), (3 J, 3 J): slopeᵀ slope
  int count;                                        // n; 0 for none
};

extern "C" struct PoseProblemData {
  CarriedPointsData rig;
  LandmarkSeenData seen;
  LinearPullData habit;
  const RotationPullData* const* pulls;
  const double *betas, *betas_precision, *transl, *transl_precision;
  int n_pulls;
};

// damping: in and out; cost_at_start, settled: out.
extern "C" struct PoseSearchData {
  double damping, tolerance, cost_at_start;
  int iterations, settled;
};

namespace kernels {
namespace {

constexpr double kDampingRises = 8, kDampingFalls = 4, kLeastDamping = 1e-6;

// A pose, and the normal equations there.
struct Place {
  std::vector<double> rotations, betas, transl, gradient, matrix, points, joints, rest_joints, world, pixel;
  double cost = 0;

  explicit Place(const CarriedPointsData& rig) {
    const int x = 3 * rig.n_joints + rig.n_betas + 3;
    rotations.resize(9 * rig.n_joints), betas.resize(rig.n_betas), transl.resize(3);
    gradient.resize(x), matrix.resize(static_cast<size_t>(x) * x);
    points.resize(3 * rig.n_points), joints.resize(3 * rig.n_joints), rest_joints.resize(3 * rig.n_joints);
    world.resize(9 * rig.n_joints), pixel.resize(2 * rig.n_points);
  }

  LandmarkSystemData system() {
    return {&cost,         gradient.data(),    matrix.data(), points.data(),
            joints.data(), rest_joints.data(), world.data(),  pixel.data()};
  }

  void write(const LandmarkSystemData& to) const {
    *to.cost = cost;
    std::copy(gradient.begin(), gradient.end(), to.gradient);
    std::copy(matrix.begin(), matrix.end(), to.matrix);
    std::copy(points.begin(), points.end(), to.points);
    std::copy(joints.begin(), joints.end(), to.joints);
    std::copy(rest_joints.begin(), rest_joints.end(), to.rest_joints);
    std::copy(world.begin(), world.end(), to.world);
    std::copy(pixel.begin(), pixel.end(), to.pixel);
  }
};

class PoseSearch {
 public:
  PoseSearch(const PoseProblemData& problem, PoseSearchData& search)
      : problem_(problem), search_(search), here_(problem.rig), there_(problem.rig) {}

  void run(double* rotations, double* betas, double* transl, const LandmarkSystemData& out) {
    std::copy_n(rotations, here_.rotations.size(), here_.rotations.data());
    std::copy_n(betas, here_.betas.size(), here_.betas.data());
    std::copy_n(transl, 3, here_.transl.data());
    linearise(here_);
    search_.cost_at_start = here_.cost;
    search_.settled = 0;
    for (int i = 0; i < search_.iterations && !search_.settled; ++i) iterate();
    std::copy(here_.rotations.begin(), here_.rotations.end(), rotations);
    std::copy(here_.betas.begin(), here_.betas.end(), betas);
    std::copy(here_.transl.begin(), here_.transl.end(), transl);
    here_.write(out);
  }

 private:
  void iterate() {
    const bool stepped = step_to_there();
    if (stepped) linearise(there_);
    if (!stepped || !(there_.cost < here_.cost)) {
      search_.damping *= kDampingRises;
      return;
    }
    search_.settled = (here_.cost - there_.cost) / here_.cost < search_.tolerance;
    search_.damping = std::max(search_.damping / kDampingFalls, kLeastDamping);
    std::swap(here_, there_);
  }

  bool step_to_there() {
    const int x = unknowns(), joints = problem_.rig.n_joints, shapes = problem_.rig.n_betas;
    damped_ = here_.matrix;
    step_.resize(x);
    for (int i = 0; i < x; ++i) {
      double& diagonal = damped_[static_cast<size_t>(i) * x + i];
      diagonal += search_.damping * (diagonal + 1);
      step_[i] = -here_.gradient[i];
    }
    if (!factor_in_place(damped_.data(), x)) return false;
    solve_factored(damped_.data(), step_.data(), x);
    for (int j = 0; j < joints; ++j) {
      double turn[9];
      rotation_from_vector(&step_[3 * j], turn);
      multiply(&here_.rotations[9 * j], turn, &there_.rotations[9 * j]);
    }
    for (int b = 0; b < shapes; ++b) there_.betas[b] = here_.betas[b] + step_[3 * joints + b];
    for (int c = 0; c < 3; ++c) there_.transl[c] = here_.transl[c] + step_[3 * joints + shapes + c];
    return true;
  }

  void linearise(Place& at) {
    const PoseProblemData& p = problem_;
    const int x = unknowns(), joints = p.rig.n_joints, shapes = p.rig.n_betas;
    linearisation_.run(p.rig, at.rotations.data(), at.betas.data(), at.transl.data(), p.seen, at.system());
    for (int i = 0; i < p.n_pulls; ++i) {
      at.cost += pull_all(*p.pulls[i], at.rotations.data(), joints, x, at.gradient.data(), at.matrix.data());
    }
    if (p.habit.count > 0) habit(at);
    gaussian(at, 3 * joints, shapes, at.betas.data(), p.betas, p.betas_precision);
    gaussian(at, 3 * joints + shapes, 3, at.transl.data(), p.transl, p.transl_precision);
  }

  void habit(Place& at) {
    const LinearPullData& h = problem_.habit;
    const int joints = problem_.rig.n_joints, width = 3 * joints, x = unknowns();
    turned_.resize(width);
    for (int j = 0; j < joints; ++j) {
      const Vec3<double> log = relative_log(h.rotations + 9 * j, &at.rotations[9 * j]);
      turned_[3 * j] = log.x, turned_[3 * j + 1] = log.y, turned_[3 * j + 2] = log.z;
    }
    for (int i = 0; i < h.count; ++i) {
      const double* row = h.slope + static_cast<size_t>(i) * width;
      const double off = h.code[i] + dot_of(row, turned_.data(), width);
      at.cost += 0.5 * off * off;
      for (int j = 0; j < width; ++j) at.gradient[j] += off * row[j];
    }
    for (int i = 0; i < width; ++i) {
      for (int j = 0; j < width; ++j) at.matrix[static_cast<size_t>(i) * x + j] += h.matrix[i * width + j];
    }
  }

  // ½ (value − mean)ᵀ precision (value − mean) for `count` unknowns from `first`.
  void gaussian(Place& at, int first, int count, const double* value, const double* mean, const double* precision) {
    const int x = unknowns();
    for (int i = 0; i < count; ++i) {
      double force = 0;
      for (int j = 0; j < count; ++j) {
        force += precision[i * count + j] * (value[j] - mean[j]);
        at.matrix[static_cast<size_t>(first + i) * x + first + j] += precision[i * count + j];
      }
      at.cost += 0.5 * (value[i] - mean[i]) * force;
      at.gradient[first + i] += force;
    }
  }

  int unknowns() const { return 3 * problem_.rig.n_joints + problem_.rig.n_betas + 3; }

  const PoseProblemData& problem_;
  PoseSearchData& search_;
  Linearisation linearisation_;
  Place here_, there_;
  std::vector<double> damped_, step_, turned_;
};

}  // namespace
}  // namespace kernels

// rotations (J, 3, 3), betas (B), transl (3): where to start, and where it has come to.
extern "C" void landmarks_fit(const PoseProblemData* problem, PoseSearchData* search, double* rotations, double* betas,
                              double* transl, const LandmarkSystemData* out) {
  kernels::PoseSearch(*problem, *search).run(rotations, betas, transl, *out);
}
