// The body step and the fitting loop as Python calls them: from parameters to loss, gradient and Adam's update, N
// times, without returning.

#include <algorithm>
#include <cstring>
#include <limits>

#include "body_cpu.h"

namespace kernels {
namespace {

// What is fitted besides the likelihood.
template <typename T>
struct FitTerms {
  const T *targets, *confidence;           // keypoints: (batch, n, 2) px, (batch, n)
  const T *linear_matrix, *linear_target;  // ½ |matrix x − target|²: (batch, rows, X), (batch, rows)
  int linear_rows, steps;
  T likelihood_weight, keypoint_weight, keypoint_sigma;
  AdamSettings<T> adam;
};

// What one evaluation gives: (batch), (batch, X), and of the picture (batch), (batch, height, width), (batch, kernels)
// twice.
template <typename T>
struct Evaluation {
  T *loss, *gradient, *nll, *occlusion, *weight, *support;
};

// What the whole loss needs to read.
template <typename T>
struct FitProblem {
  BodyData<T> body;
  FeatureBank<T> bank;
  EllipsoidScene<T> scene;  // its centres, precisions and features are filled in step by step
  EllipsoidObservation<T> seen;
  FitTerms<T> terms;
};

template <typename T>
class Fitter {
 public:
  // units (batch, X, X): Adam steps in z, parameters = start + units z; parameters (batch, X) in, the best out; last
  // (batch, X); losses (batch, steps + 1); told: what the picture says before the last step.
  void fit(const FitProblem<T>& problem, const T* units, T* parameters, T* last, T* losses, const Evaluation<T>& told,
           int threads) {
    const int batch = problem.scene.batch, x = problem.body.parameters(), steps = problem.terms.steps;
    reserve(problem);
    mean_.assign(static_cast<size_t>(batch) * x, T(0));
    square_.assign(static_cast<size_t>(batch) * x, T(0));
    std::vector<T> best(batch, std::numeric_limits<T>::infinity());
    std::copy_n(parameters, batch * x, last);
    T power1 = 1, power2 = 1;
    for (int step = 0; step <= steps; ++step) {
      const bool is_told = step == std::max(steps - 1, 0);
      run(problem, last, is_told ? &told : nullptr, step < steps || is_told, threads);
      for (int b = 0; b < batch; ++b) {
        losses[b * (steps + 1) + step] = loss_[b];
        if (!(loss_[b] < best[b])) continue;
        best[b] = loss_[b];
        std::copy_n(last + b * x, x, parameters + b * x);
      }
      if (step == steps) break;
      power1 *= problem.terms.adam.beta1;
      power2 *= problem.terms.adam.beta2;
      for (int b = 0; b < batch; ++b) {
        const int64_t at = static_cast<int64_t>(b) * x;
        step_along(problem.terms.adam, units + at * x, at, x, T(1) - power1, T(1) - power2, last + at);
      }
    }
  }

  // One evaluation, for whoever steps himself.
  void evaluate(const FitProblem<T>& problem, const T* parameters, const Evaluation<T>& out, int threads) {
    reserve(problem);
    run(problem, parameters, &out, true, threads);
    std::copy(loss_.begin(), loss_.end(), out.loss);
    std::copy(gradient_.begin(), gradient_.end(), out.gradient);
  }

 private:
  void reserve(const FitProblem<T>& problem) {
    const size_t batch = problem.scene.batch, kernels = batch * problem.body.n_kernels;
    loss_.resize(batch);
    gradient_.resize(batch * problem.body.parameters());
    joints_.resize(batch * problem.body.n_joints * 3);
    points_.resize(batch * problem.body.n_points * 3);
    g_points_.resize(points_.size());
    limbs_.resize(batch * problem.body.n_limbs * 3);
    g_limbs_.resize(limbs_.size());
    for (std::vector<T>* v : {&centres_, &g_centres_}) v->resize(kernels * 3);
    for (std::vector<T>* v : {&precisions_, &g_precisions_}) v->resize(kernels * 9);
    for (std::vector<T>* v : {&features_, &g_features_}) v->resize(kernels * problem.bank.channels);
  }

  // One body's step: the gradient into the units, Adam there, and the update back.
  void step_along(const AdamSettings<T>& adam, const T* units, int64_t at, int x, T correction1, T correction2,
                  T* last) {
    along_.assign(x, T(0));
    for (int j = 0; j < x; ++j) add_scaled(gradient_[at + j], units + static_cast<int64_t>(j) * x, along_.data(), x);
    for (int i = 0; i < x; ++i) {
      along_[i] = adam_update(adam, along_[i], correction1, correction2, &mean_[at + i], &square_[at + i]);
    }
    for (int j = 0; j < x; ++j) last[j] += dot_n(units + static_cast<int64_t>(j) * x, along_.data(), x);
  }

  // Leaves loss and gradient here; told: where the picture's verdict goes, too, or null.
  void run(const FitProblem<T>& problem, const T* parameters, const Evaluation<T>* told, bool with_gradient,
           int threads) {
    const BodyData<T>& body = problem.body;
    const int batch = problem.scene.batch;
    poser_.forward(body, parameters, batch, {joints_.data(), points_.data(), precisions_.data(), limbs_.data()},
                   threads);
    mixer_.forward(body, problem.bank, limbs_.data(), batch, features_.data(), threads);
    render(problem, told == nullptr ? Evaluation<T>{} : *told, with_gradient, threads);
    std::fill(gradient_.begin(), gradient_.end(), T(0));
    scatter_points(problem);
    keypoints(problem);
    if (with_gradient) {
      mixer_.backward(body, problem.bank, limbs_.data(), batch, g_features_.data(), g_limbs_.data(), threads);
      for (T& g : g_limbs_) g *= problem.terms.likelihood_weight;
      poser_.backward(body, parameters, batch, {nullptr, g_points_.data(), g_precisions_.data(), g_limbs_.data()},
                      gradient_.data(), threads);
    }
    linear(problem, parameters);
  }

  // The kernels are the first of the points: renders them, and leaves weighted gradients.
  void render(const FitProblem<T>& problem, const Evaluation<T>& told, bool with_gradient, int threads) {
    const int batch = problem.scene.batch, kernels = problem.body.n_kernels, points = problem.body.n_points;
    for (int b = 0; b < batch; ++b) {
      std::copy_n(points_.data() + 3 * b * points, 3 * kernels, centres_.data() + 3 * b * kernels);
    }
    EllipsoidScene<T> scene = problem.scene;
    scene.centres = centres_.data();
    scene.precisions = precisions_.data();
    scene.features = features_.data();
    const EllipsoidGradients<T> g = {g_centres_.data(), g_precisions_.data(), g_features_.data(), told.weight,
                                     told.support};
    renderer_.likelihood(scene, problem.seen, loss_.data(), told.occlusion, with_gradient ? &g : nullptr, threads);
    if (told.nll != nullptr) std::copy(loss_.begin(), loss_.end(), told.nll);
    for (T& loss : loss_) loss *= problem.terms.likelihood_weight;
    if (!with_gradient) return;
    for (T& value : g_precisions_) value *= problem.terms.likelihood_weight;
  }

  void scatter_points(const FitProblem<T>& problem) {
    const int kernels = problem.body.n_kernels, points = problem.body.n_points;
    std::fill(g_points_.begin(), g_points_.end(), T(0));
    for (int b = 0; b < problem.scene.batch; ++b) {
      add_scaled(problem.terms.likelihood_weight, g_centres_.data() + 3 * b * kernels,
                 g_points_.data() + 3 * b * points, 3 * kernels);
    }
  }

  void keypoints(const FitProblem<T>& problem) {
    const FitTerms<T>& terms = problem.terms;
    const int kernels = problem.body.n_kernels, points = problem.body.n_points, count = points - kernels;
    for (int b = 0; b < problem.scene.batch; ++b) {
      const T* k = problem.scene.cameras + 4 * b;
      for (int i = 0; i < count; ++i) {
        const T weight = terms.keypoint_weight * terms.confidence[b * count + i];
        if (weight == 0) continue;
        const int64_t at = 3 * (static_cast<int64_t>(b) * points + kernels + i);
        const T* target = terms.targets + 2 * (b * count + i);
        const PointCost<T> cost = keypoint_cost(Pinhole<T>{k[0], k[1], k[2], k[3]}, load3(points_.data() + at),
                                                target[0], target[1], terms.keypoint_sigma, problem.scene.near);
        loss_[b] += weight * cost.value;
        add3(g_points_.data() + at, weight * cost.g);
      }
    }
  }

  void linear(const FitProblem<T>& problem, const T* parameters) {
    const FitTerms<T>& terms = problem.terms;
    const int x = problem.body.parameters();
    for (int b = 0; b < problem.scene.batch; ++b) {
      for (int r = 0; r < terms.linear_rows; ++r) {
        const T* row = terms.linear_matrix + (static_cast<int64_t>(b) * terms.linear_rows + r) * x;
        const T residual = dot_n(row, parameters + b * x, x) - terms.linear_target[b * terms.linear_rows + r];
        loss_[b] += T(0.5) * residual * residual;
        add_scaled(residual, row, gradient_.data() + b * x, x);
      }
    }
  }

  BodyPoser<T> poser_;
  FeatureMixer<T> mixer_;
  EllipsoidRenderer<T> renderer_;
  std::vector<T> loss_, gradient_, mean_, square_, along_;
  std::vector<T> joints_, points_, g_points_, limbs_, g_limbs_;
  std::vector<T> centres_, g_centres_, precisions_, g_precisions_, features_, g_features_;
};

template <typename T, template <typename> class Worker>
Worker<T>& mine() {
  static thread_local Worker<T> worker;
  return worker;
}

template <typename T>
void pose_backward(const BodyData<T>& body, const T* parameters, int batch, const PosedBody<T, const T*>& g, T* out,
                   int threads) {
  // The skeleton is posed anew: between forward and backward another pose may have come by.
  const size_t n = batch;
  std::vector<T> joints(3 * n * body.n_joints), points(3 * n * body.n_points), precisions(9 * n * body.n_kernels);
  std::vector<T> limbs(3 * n * body.n_limbs);
  BodyPoser<T>& poser = mine<T, BodyPoser>();
  poser.forward(body, parameters, batch, {joints.data(), points.data(), precisions.data(), limbs.data()}, threads);
  std::fill_n(out, n * body.parameters(), T(0));
  poser.backward(body, parameters, batch, g, out, threads);
}

template <typename T>
void mix_backward(const BodyData<T>& body, const FeatureBank<T>& bank, const T* limbs, int batch, const T* g_features,
                  T* g_limbs, int threads) {
  std::vector<T> features(static_cast<size_t>(batch) * body.n_kernels * bank.channels);
  FeatureMixer<T>& mixer = mine<T, FeatureMixer>();
  mixer.forward(body, bank, limbs, batch, features.data(), threads);
  mixer.backward(body, bank, limbs, batch, g_features, g_limbs, threads);
}

}  // namespace

#define KERNELS_BODY_ENTRY_POINTS(T, suffix)                                                                         \
  extern "C" void body_pose_##suffix(const BodyData<T>* body, const T* parameters, int batch,                        \
                                     const PosedBody<T, T*>* out, int threads) {                                     \
    mine<T, BodyPoser>().forward(*body, parameters, batch, *out, threads);                                           \
  }                                                                                                                  \
  extern "C" void body_pose_backward_##suffix(const BodyData<T>* body, const T* parameters, int batch,               \
                                              const PosedBody<T, const T*>* g, T* out, int threads) {                \
    pose_backward(*body, parameters, batch, *g, out, threads);                                                       \
  }                                                                                                                  \
  extern "C" void body_mix_##suffix(const BodyData<T>* body, const FeatureBank<T>* bank, const T* limbs, int batch,  \
                                    T* features, int threads) {                                                      \
    mine<T, FeatureMixer>().forward(*body, *bank, limbs, batch, features, threads);                                  \
  }                                                                                                                  \
  extern "C" void body_mix_backward_##suffix(const BodyData<T>* body, const FeatureBank<T>* bank, const T* limbs,    \
                                             int batch, const T* g_features, T* g_limbs, int threads) {              \
    mix_backward(*body, *bank, limbs, batch, g_features, g_limbs, threads);                                          \
  }                                                                                                                  \
  extern "C" void body_loss_##suffix(const FitProblem<T>* problem, const T* parameters, const Evaluation<T>* out,    \
                                     int threads) {                                                                  \
    mine<T, Fitter>().evaluate(*problem, parameters, *out, threads);                                                 \
  }                                                                                                                  \
  extern "C" void body_fit_##suffix(const FitProblem<T>* problem, const T* units, T* parameters, T* last, T* losses, \
                                    const Evaluation<T>* told, int threads) {                                        \
    mine<T, Fitter>().fit(*problem, units, parameters, last, losses, *told, threads);                                \
  }

KERNELS_BODY_ENTRY_POINTS(float, f32)
KERNELS_BODY_ENTRY_POINTS(double, f64)

}  // namespace kernels
