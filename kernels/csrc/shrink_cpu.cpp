// Shrinks a picture by a whole number. The definition is in kernels/shrink.py.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace kernels {
namespace {

struct Picture {
  const uint8_t* pixels;
  long row_bytes;
  int height, width, channels;  // one channel, or three
};

struct Blocks {
  int x0, y0, side, rows, columns;  // the first begins at pixel (x0, y0), which may lie outside the picture
};

// Sums of a row of blocks. The channels of a row follow each other as its pixels do, so that rows are added vector by
// vector, and so are neighbours: from every pixel on, of which those are picked that are asked for.
template <typename Sum>
struct RowOfBlocks {
  std::vector<Sum> down, across, picked;

  RowOfBlocks(const Picture& picture, const Blocks& blocks)
      : down(blocks.columns * blocks.side * picture.channels),
        across(down.size()),
        picked(blocks.columns * picture.channels) {}

  void add_rows(const Picture& picture, const Blocks& blocks, int row) {
    const int first = std::max(blocks.x0, 0), last = std::min(blocks.x0 + blocks.columns * blocks.side, picture.width);
    const int top = std::max(blocks.y0 + row * blocks.side, 0);
    const int bottom = std::min(blocks.y0 + (row + 1) * blocks.side, picture.height);
    const int count = std::max(last - first, 0) * picture.channels;
    Sum* sums = down.data() + (first - blocks.x0) * picture.channels;
    std::fill(down.begin(), down.end(), Sum(0));
    for (int y = top; y < bottom; ++y) {
      const uint8_t* from = picture.pixels + y * picture.row_bytes + static_cast<long>(first) * picture.channels;
#pragma omp simd
      for (int i = 0; i < count; ++i) sums[i] = static_cast<Sum>(sums[i] + from[i]);
    }
  }

  void add_neighbours(int side, int channels) {
    const int count = static_cast<int>(down.size()) - (side - 1) * channels;
    std::copy(down.begin(), down.begin() + count, across.begin());
    Sum* sums = across.data();
    for (int k = 1; k < side; ++k) {
      const Sum* from = down.data() + k * channels;
#pragma omp simd
      for (int i = 0; i < count; ++i) sums[i] = static_cast<Sum>(sums[i] + from[i]);
    }
  }

  // Known at compile time how large a pixel is, its numbers move together.
  template <int kChannels>
  void pick(int side) {
    const Sum* from = across.data();
    for (auto to = picked.begin(); to != picked.end(); to += kChannels, from += side * kChannels) {
      std::copy(from, from + kChannels, to);
    }
  }

  void average(int side, uint8_t* means) const {
    const float part = 1 / (static_cast<float>(side) * static_cast<float>(side));
    const float up = side == 2 ? 1e-3f : 0.0f;  // halves: to even numbers, but of two by two pixels up
    const int count = static_cast<int>(picked.size());
#pragma omp simd
    for (int i = 0; i < count; ++i) {
      means[i] = static_cast<uint8_t>(static_cast<int>(std::nearbyint(static_cast<float>(picked[i]) * part + up)));
    }
  }
};

template <typename Sum>
void shrink(const Picture& picture, const Blocks& blocks, uint8_t* means) {
  RowOfBlocks<Sum> line(picture, blocks);
  for (int row = 0; row < blocks.rows; ++row) {
    line.add_rows(picture, blocks, row);
    line.add_neighbours(blocks.side, picture.channels);
    picture.channels == 3 ? line.template pick<3>(blocks.side) : line.template pick<1>(blocks.side);
    line.average(blocks.side, means + static_cast<long>(row) * blocks.columns * picture.channels);
  }
}

}  // namespace
}  // namespace kernels

// means: (rows, columns, channels).
extern "C" void block_means(const uint8_t* pixels, long row_bytes, int height, int width, int channels, int x0, int y0,
                            int side, int rows, int columns, uint8_t* means) {
  const kernels::Picture picture{pixels, row_bytes, height, width, channels};
  const kernels::Blocks blocks{x0, y0, side, rows, columns};
  if (side <= 16) {  // 16 × 16 × 255 fits into 16 bits
    kernels::shrink<uint16_t>(picture, blocks, means);
  } else {
    kernels::shrink<uint32_t>(picture, blocks, means);
  }
}
