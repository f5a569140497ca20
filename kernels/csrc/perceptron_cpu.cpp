// Linear layers with SiLU between them, a row of input at a time. The definition is in kernels/perceptron.py.

#include <algorithm>
#include <vector>

#include "ellipsoid_math.h"

extern "C" struct PerceptronData {
  const float *const *weights, *const *biases;  // of each layer (outputs, inputs), (outputs)
  const int* sizes;                             // the inputs, then each layer's outputs
  int layers;
};

namespace kernels {
namespace {

// out = weights (outputs, inputs) · x + bias
void linear(const float* weights, const float* bias, const float* x, int outputs, int inputs, float* out) {
  for (int o = 0; o < outputs; ++o) {
    const float* row = weights + static_cast<long>(o) * inputs;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < inputs; ++i) sum += row[i] * x[i];
    out[o] = sum + bias[o];
  }
}

// x becomes SiLU(x); slope, unless null, its derivative.
void silu(float* x, float* slope, int n) {
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    const float gate = 1 / (1 + exp_of(-x[i])), value = x[i];
    if (slope != nullptr) slope[i] = gate * (1 + value * (1 - gate));
    x[i] = value * gate;
  }
}

// The hidden layers' values, and their slopes where they are wanted, in one place.
struct Hidden {
  std::vector<std::vector<float>> values, slopes;

  // out (sizes[layers]) for x (sizes[0])
  void run(const PerceptronData& net, const float* x, bool with_slopes, float* out) {
    values.resize(net.layers), slopes.resize(net.layers);
    for (int k = 0; k < net.layers; ++k) {
      const int inputs = net.sizes[k], outputs = net.sizes[k + 1];
      const bool last = k + 1 == net.layers;
      values[k].resize(outputs), slopes[k].resize(outputs);
      float* to = last ? out : values[k].data();
      linear(net.weights[k], net.biases[k], x, outputs, inputs, to);
      if (!last) silu(to, with_slopes ? slopes[k].data() : nullptr, outputs);
      x = to;
    }
  }
};

// A block of a product: so many rows by so many columns are summed in registers.
constexpr int kBlockRows = 4, kBlockColumns = 64;

// out (rows, columns) of at most a block's size = left (rows, middle) · right (middle, columns)
KERNELS_HD void multiply_block(const float* left, const float* right, int rows, int middle, int columns, int stride,
                               float* out) {
  float sums[kBlockRows][kBlockColumns] = {};
  for (int k = 0; k < middle; ++k) {
    const float* from = right + static_cast<long>(k) * stride;
    for (int r = 0; r < rows; ++r) {
      const float scale = left[static_cast<long>(r) * middle + k];
#pragma omp simd
      for (int i = 0; i < columns; ++i) sums[r][i] += scale * from[i];
    }
  }
  for (int r = 0; r < rows; ++r) std::copy_n(sums[r], columns, out + static_cast<long>(r) * stride);
}

// out (rows, inputs) = left (rows, middle) · weights (middle, inputs)
void multiply(const float* left, const float* weights, int rows, int middle, int inputs, float* out) {
  for (int i = 0; i < inputs; i += kBlockColumns) {
    for (int r = 0; r < rows; r += kBlockRows) {
      const float* from = left + static_cast<long>(r) * middle;
      float* to = out + static_cast<long>(r) * inputs + i;
      if (r + kBlockRows <= rows && i + kBlockColumns <= inputs) {
        multiply_block(from, weights + i, kBlockRows, middle, kBlockColumns, inputs, to);
      } else {
        multiply_block(from, weights + i, std::min(kBlockRows, rows - r), middle, std::min(kBlockColumns, inputs - i),
                       inputs, to);
      }
    }
  }
}

}  // namespace
}  // namespace kernels

// x (rows, inputs) → out (rows, outputs)
extern "C" void perceptron_forward(const PerceptronData* net, const float* x, int rows, float* out) {
  kernels::Hidden hidden;
  for (int r = 0; r < rows; ++r) {
    hidden.run(*net, x + static_cast<long>(r) * net->sizes[0], false,
               out + static_cast<long>(r) * net->sizes[net->layers]);
  }
}

// x (inputs) → out (outputs), jacobian (outputs, inputs): backwards, since the outputs are few.
extern "C" void perceptron_jacobian(const PerceptronData* net, const float* x, float* out, float* jacobian) {
  kernels::Hidden hidden;
  hidden.run(*net, x, true, out);
  const int outputs = net->sizes[net->layers];
  const float* last = net->weights[net->layers - 1];
  std::vector<float> here(last, last + static_cast<long>(outputs) * net->sizes[net->layers - 1]), there;
  for (int k = net->layers - 2; k >= 0; --k) {
    const int middle = net->sizes[k + 1];
    for (int i = 0; i < outputs * middle; ++i) here[i] *= hidden.slopes[k][i % middle];
    there.resize(static_cast<long>(outputs) * net->sizes[k]);
    kernels::multiply(here.data(), net->weights[k], outputs, middle, net->sizes[k], there.data());
    here.swap(there);
  }
  std::copy(here.begin(), here.end(), jacobian);
}
