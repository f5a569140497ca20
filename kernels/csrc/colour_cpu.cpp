// From RGB to the planes of a video: BT.709, limited range, colours at half the resolution. The definition is in
// kernels/colour.py.

#include <algorithm>
#include <cstdint>

namespace kernels {
namespace {

// Of channels of 8 bits; rows of luma, blue difference and red difference.
struct ColourMatrix {
  float luma[3], blue[3], red[3];
};

constexpr int kBlock = 512;  // pixels of a row at a time, so that all stays in the nearest cache

struct Channels {
  float red[kBlock], green[kBlock], blue[kBlock];
};

void separate(const uint8_t* rgb, int count, Channels& row) {
#pragma omp simd
  for (int x = 0; x < count; ++x) {
    row.red[x] = rgb[3 * x];
    row.green[x] = rgb[3 * x + 1];
    row.blue[x] = rgb[3 * x + 2];
  }
}

void write_plane(const Channels& row, const float* by, float zero, int count, uint8_t* out) {
  const float red = by[0], green = by[1], blue = by[2], offset = zero + 0.5f;
#pragma omp simd
  for (int x = 0; x < count; ++x) {
    const float value = red * row.red[x] + green * row.green[x] + blue * row.blue[x] + offset;
    out[x] = static_cast<uint8_t>(static_cast<int>(value));
  }
}

// Means of two by two pixels.
void halve(const Channels& top, const Channels& bottom, int count, Channels& out) {
  auto mean = [count](const float* a, const float* b, float* to) {
#pragma omp simd
    for (int x = 0; x < count; ++x) to[x] = 0.25f * (a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1]);
  };
  mean(top.red, bottom.red, out.red);
  mean(top.green, bottom.green, out.green);
  mean(top.blue, bottom.blue, out.blue);
}

}  // namespace

extern "C" {

// image (height, width, 3), both even → luma (height, width), then blue and red difference (height / 2, width / 2)
// each.
void colour_yuv420(const uint8_t* image, const ColourMatrix* matrix, int width, int height, uint8_t* planes) {
  uint8_t *blue = planes + static_cast<int64_t>(width) * height, *red = blue + static_cast<int64_t>(width) * height / 4;
  Channels top, bottom, half;
  for (int y = 0; y < height; y += 2) {
    for (int x = 0; x < width; x += kBlock) {
      const int count = std::min(kBlock, width - x);
      const int64_t at = static_cast<int64_t>(y) * width + x, small = static_cast<int64_t>(y / 2) * (width / 2) + x / 2;
      separate(image + 3 * at, count, top);
      separate(image + 3 * (at + width), count, bottom);
      write_plane(top, matrix->luma, 16, count, planes + at);
      write_plane(bottom, matrix->luma, 16, count, planes + at + width);
      halve(top, bottom, count / 2, half);
      write_plane(half, matrix->blue, 128, count / 2, blue + small);
      write_plane(half, matrix->red, 128, count / 2, red + small);
    }
  }
}

}  // extern "C"
}  // namespace kernels
