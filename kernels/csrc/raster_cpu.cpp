// Z-buffered triangles on a CPU. Triangles are set up in chunks, sorted into tiles, and each tile fills its own small
// depth buffer by exact row spans and shades its pixels while they are in the cache.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "raster_math.h"
#include "thread_pool.h"

namespace kernels {
namespace {

constexpr int kTileWidth = 64, kTileHeight = 16;
constexpr int kMaxRows = 4;  // sample rows of a pixel
constexpr int kTileSamples = kTileWidth * kTileHeight * kMaxRows;
constexpr int kLanes = 16;  // pixels that a row is filled by at a time
constexpr int kFaceChunk = 1024;

}  // namespace

extern "C" struct RasterScene {
  const float* vertices;  // (n_vertices, 3) m, camera frame
  const int* faces;       // (n_faces, 3)
  int n_vertices, n_faces, width, height;
  double fx, fy, cx, cy, near;
  int skip_backs;  // leave out faces seen from behind: right for closed surfaces
};

extern "C" struct OverlayStyle {
  Lighting light;
  float alpha;
};

namespace {

// Where the samples of a pixel lie: one per row, at a horizontal offset in fixed-point units.
struct SampleGrid {
  int rows;
  double offset[kMaxRows];
};

constexpr SampleGrid kCentre = {1, {128}};
constexpr SampleGrid kRotated = {4, {96, 224, 32, 160}};  // the rotated grid: four distinct columns and rows

Pinhole<double> camera_of(const RasterScene& scene) { return {scene.fx, scene.fy, scene.cx, scene.cy}; }

Vec3<double> vertex_of(const RasterScene& scene, int i) {
  const float* p = scene.vertices + 3 * static_cast<int64_t>(i);
  return {p[0], p[1], p[2]};
}

// A buffer that keeps its memory from frame to frame and never clears what it hands out.
template <typename T>
class Scratch {
 public:
  T* reserve(size_t count) {
    if (count > capacity_) {
      data_.reset(new T[count]);
      capacity_ = count;
    }
    return data_.get();
  }

 private:
  std::unique_ptr<T[]> data_;
  size_t capacity_ = 0;
};

struct ChunkBin {
  std::vector<TriangleSetup> setups;
  std::vector<int> tiles, members;  // pairs: a tile, and a triangle that may touch it
};

// Triangles sorted by the tiles that they touch, in the order of their indices.
class Binning {
 public:
  void build(const RasterScene& scene, int threads) {
    tiles_x_ = (scene.width + kTileWidth - 1) / kTileWidth;
    tiles_y_ = (scene.height + kTileHeight - 1) / kTileHeight;
    project(scene, threads);
    const int chunks = (scene.n_faces + kFaceChunk - 1) / kFaceChunk;
    if (static_cast<int>(chunks_.size()) < chunks) chunks_.resize(chunks);
    parallel_chunks(scene.n_faces, kFaceChunk, threads,
                    [&](int chunk, int first, int last) { fill_chunk(scene, chunks_[chunk], first, last); });
    sort_by_tile(chunks);
  }

  int tiles() const { return tiles_x_ * tiles_y_; }
  int tiles_x() const { return tiles_x_; }
  const TriangleSetup* const* begin(int tile) const { return order_ + start_[tile]; }
  const TriangleSetup* const* end(int tile) const { return order_ + start_[tile + 1]; }

 private:
  void project(const RasterScene& scene, int threads) {
    const Pinhole<double> camera = camera_of(scene);
    projected_ = projected_buffer_.reserve(scene.n_vertices);
    clipped_ = clipped_buffer_.reserve(scene.n_vertices);
    parallel_chunks(scene.n_vertices, 4096, threads, [&](int, int first, int last) {
      for (int i = first; i < last; ++i) {
        const Vec3<double> p = vertex_of(scene, i);
        clipped_[i] = needs_clipping(camera, scene.near, p);
        projected_[i] = project_vertex(camera, p);
      }
    });
  }

  void fill_chunk(const RasterScene& scene, ChunkBin& bin, int first, int last) {
    bin.setups.clear();
    bin.tiles.clear();
    bin.members.clear();
    const Pinhole<double> camera = camera_of(scene);
    for (int t = first; t < last; ++t) {
      const int* corner = scene.faces + 3 * static_cast<int64_t>(t);
      Vec3<double> polygon[kMaxClipped] = {vertex_of(scene, corner[0]), vertex_of(scene, corner[1]),
                                           vertex_of(scene, corner[2])};
      const DepthPlane plane = depth_plane(camera, polygon[0], polygon[1], polygon[2]);
      if (plane.back && scene.skip_backs) continue;
      if (!(clipped_[corner[0]] | clipped_[corner[1]] | clipped_[corner[2]])) {
        const ScreenVertex v[3] = {projected_[corner[0]], projected_[corner[1]], projected_[corner[2]]};
        add(bin, v, plane, t);
        continue;
      }
      const int corners = clip_triangle(camera, scene.near, polygon);
      for (int i = 2; i < corners; ++i) {
        const ScreenVertex v[3] = {project_vertex(camera, polygon[0]), project_vertex(camera, polygon[i - 1]),
                                   project_vertex(camera, polygon[i])};
        add(bin, v, plane, t);
      }
    }
  }

  void add(ChunkBin& bin, const ScreenVertex* v, const DepthPlane& plane, int triangle) {
    TriangleSetup setup;
    if (!set_up_triangle(v, plane, triangle, &setup)) return;
    constexpr int kUnits = static_cast<int>(kSubpixels);
    if (setup.x_last < 0 || setup.y_last < 0) return;
    const int x0 = std::max(setup.x_first, 0) / kUnits / kTileWidth;
    const int y0 = std::max(setup.y_first, 0) / kUnits / kTileHeight;
    const int x1 = std::min(setup.x_last / kUnits / kTileWidth, tiles_x_ - 1);
    const int y1 = std::min(setup.y_last / kUnits / kTileHeight, tiles_y_ - 1);
    if (x0 > x1 || y0 > y1) return;
    const int member = static_cast<int>(bin.setups.size());
    bin.setups.push_back(setup);
    for (int y = y0; y <= y1; ++y) {
      for (int x = x0; x <= x1; ++x) {
        bin.tiles.push_back(y * tiles_x_ + x);
        bin.members.push_back(member);
      }
    }
  }

  void sort_by_tile(int chunks) {
    start_.assign(tiles() + 1, 0);
    size_t total = 0;
    for (int c = 0; c < chunks; ++c) {
      total += chunks_[c].tiles.size();
      for (int tile : chunks_[c].tiles) ++start_[tile + 1];
    }
    for (int tile = 0; tile < tiles(); ++tile) start_[tile + 1] += start_[tile];
    order_ = order_buffer_.reserve(total);
    cursor_.assign(start_.begin(), start_.end());
    for (int c = 0; c < chunks; ++c) {
      const ChunkBin& bin = chunks_[c];
      for (size_t i = 0; i < bin.tiles.size(); ++i) order_[cursor_[bin.tiles[i]]++] = &bin.setups[bin.members[i]];
    }
  }

  int tiles_x_ = 0, tiles_y_ = 0;
  ScreenVertex* projected_ = nullptr;
  unsigned char* clipped_ = nullptr;
  const TriangleSetup** order_ = nullptr;
  Scratch<ScreenVertex> projected_buffer_;
  Scratch<unsigned char> clipped_buffer_;
  Scratch<const TriangleSetup*> order_buffer_;
  std::vector<ChunkBin> chunks_;
  std::vector<int> start_, cursor_;
};

// The samples of one tile: sample row r of the tile and pixel column x at r * kTileWidth + x.
struct TileBuffer {
  // Filling works by whole lanes: it may rewrite what follows a row with what is there.
  float inverse_z[kTileSamples + kLanes];
  int triangle[kTileSamples + kLanes];

  void clear(int rows) {
    std::fill_n(inverse_z, kTileWidth * kTileHeight * rows, 0.0f);
    std::fill_n(triangle, kTileWidth * kTileHeight * rows, -1);
  }
};

struct TileRect {
  int x, y, width, height;  // pixels
};

void fill_row(const TriangleSetup& t, int low, int high, float z_start, float z_step, float* inverse_z, int* triangle) {
  const float z_low = t.inverse_z_low, z_high = t.inverse_z_high;
  const int id = t.triangle;
  for (int first = low; first <= high; first += kLanes) {
    float* z_at = inverse_z + first;
    int* id_at = triangle + first;
    const int inside = high - first;
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const float z = clamp_to(z_start + z_step * static_cast<float>(first + lane), z_low, z_high);
      const bool nearer = (lane <= inside) & (z > z_at[lane]);
      z_at[lane] = nearer ? z : z_at[lane];
      id_at[lane] = nearer ? id : id_at[lane];
    }
  }
}

constexpr int kTileRows = kTileHeight * kMaxRows;
constexpr int kRowLanes = 8;  // rows whose spans are found at a time

// The sample rows of a tile that a triangle reaches, and the pixels of each that it covers. Found by whole lanes: what
// lies beyond the last row is never read.
struct RowSpans {
  int first, last;
  double offset[kTileRows + kRowLanes], y[kTileRows + kRowLanes];  // fixed-point position of a row's first sample
  double low[kTileRows + kRowLanes], high[kTileRows + kRowLanes];

  RowSpans(const TriangleSetup& t, const SampleGrid& grid, const TileRect& rect) {
    const double step = kSubpixels / grid.rows, top = rect.y * kSubpixels + step / 2;
    first = std::max(0, static_cast<int>(std::ceil((t.y_first - top) / step)));
    last = std::min(rect.height * grid.rows - 1, static_cast<int>(std::floor((t.y_last - top) / step)));
    const double left = rect.x * kSubpixels, right = rect.width - 1;
    by_lanes([&](int r) {
      offset[r] = left + grid.offset[r & (grid.rows - 1)];
      y[r] = top + r * step;
      low[r] = 0;
      high[r] = right;
    });
    for (int i = 0; i < 3; ++i) narrow(t.a[i], t.b[i], t.c[i]);
  }

 private:
  template <typename Row>
  KERNELS_HD void by_lanes(Row&& row) const {
    for (int block = first; block <= last; block += kRowLanes) {
#pragma omp simd
      for (int lane = 0; lane < kRowLanes; ++lane) row(block + lane);
    }
  }

  void narrow(double a, double b, double c) {
    const double step = a * kSubpixels;
    if (step > 0) {
      by_lanes([&](int r) { low[r] = max_of(low[r], first_inside(a * offset[r] + b * y[r] + c, step)); });
    } else if (step < 0) {
      by_lanes([&](int r) { high[r] = min_of(high[r], last_inside(a * offset[r] + b * y[r] + c, step)); });
    } else {
      by_lanes([&](int r) { high[r] = b * y[r] + c < 0 ? -1 : high[r]; });
    }
  }
};

void fill_triangle(const TriangleSetup& t, const SampleGrid& grid, const TileRect& rect, TileBuffer& tile) {
  const RowSpans spans(t, grid, rect);
  const auto z_step = static_cast<float>(t.plane.zx * kSubpixels);
  for (int r = spans.first; r <= spans.last; ++r) {
    if (spans.low[r] > spans.high[r]) continue;
    const auto z_start = static_cast<float>(t.plane.zx * spans.offset[r] + t.plane.zy * spans.y[r] + t.plane.z0);
    fill_row(t, static_cast<int>(spans.low[r]), static_cast<int>(spans.high[r]), z_start, z_step,
             tile.inverse_z + r * kTileWidth, tile.triangle + r * kTileWidth);
  }
}

// Calls finish(rect, buffer) for every tile that some triangle touches and, if `empty` is set, for the others too.
template <typename Finish>
void for_each_tile(const RasterScene& scene, const SampleGrid& grid, bool empty, int threads, Finish&& finish) {
  static thread_local Binning binning;
  binning.build(scene, threads);
  const Binning& bins = binning;
  ThreadPool::instance().run(bins.tiles(), threads, [&](int index) {
    const bool touched = bins.begin(index) != bins.end(index);
    if (!touched && !empty) return;
    TileRect rect{index % bins.tiles_x() * kTileWidth, index / bins.tiles_x() * kTileHeight, 0, 0};
    rect.width = std::min(kTileWidth, scene.width - rect.x);
    rect.height = std::min(kTileHeight, scene.height - rect.y);
    static thread_local TileBuffer buffer;
    buffer.clear(grid.rows);
    for (auto t = bins.begin(index); t != bins.end(index); ++t) fill_triangle(**t, grid, rect, buffer);
    finish(rect, buffer);
  });
}

Vec3<float> corner_of(const RasterScene& scene, int triangle, int corner) {
  return load3(scene.vertices + 3 * static_cast<int64_t>(scene.faces[3 * static_cast<int64_t>(triangle) + corner]));
}

Vec3<float> barycentric_at(const RasterScene& scene, int triangle, Vec3<float> ray) {
  return ray_barycentric(ray, corner_of(scene, triangle, 0), corner_of(scene, triangle, 1),
                         corner_of(scene, triangle, 2));
}

Pinhole<float> float_camera_of(const RasterScene& scene) {
  return {static_cast<float>(scene.fx), static_cast<float>(scene.fy), static_cast<float>(scene.cx),
          static_cast<float>(scene.cy)};
}

// What the overlay draws: the scene, and a normal and a colour (0..255) for each of its vertices.
struct Painter {
  const RasterScene& scene;
  const OverlayStyle& style;
  const float* normals;
  const float* colours;

  KERNELS_HD Vec3<float> shade(const Pinhole<float>& camera, int triangle, float u, float v) const {
    const Vec3<float> ray = pixel_ray(camera, u, v);
    const int i0 = 3 * scene.faces[3 * triangle], i1 = 3 * scene.faces[3 * triangle + 1],
              i2 = 3 * scene.faces[3 * triangle + 2];
    const Vec3<float> v0 = load3(scene.vertices + i0), v1 = load3(scene.vertices + i1), v2 = load3(scene.vertices + i2);
    const Vec3<float> b = ray_barycentric(ray, v0, v1, v2);
    const Vec3<float> normal = b.x * load3(normals + i0) + b.y * load3(normals + i1) + b.z * load3(normals + i2);
    const Vec3<float> colour = b.x * load3(colours + i0) + b.y * load3(colours + i1) + b.z * load3(colours + i2);
    return lit(style.light, normal, seen_from_behind(ray, v0, v1, v2)) * colour;
  }
};

// The points of one row of pixels that have to be shaded: gathered, shaded in one tight loop, blended.
class ShadingRow {
 public:
  // Samples at nearly one depth lie on one surface and are shaded once, at the pixel's centre; where the depth jumps
  // (an arm before the chest, the outline of another person) each is shaded for itself.
  void gather(const TileBuffer& tile, const TileRect& rect, int row) {
    constexpr float kSameSurface = 0.98f;
    count_ = 0;
    for (int x = 0; x < rect.width; ++x) {
      hits_[x] = 0;
      int ids[kMaxRows], any = -1;
      float low = std::numeric_limits<float>::max(), high = 0;
      for (int s = 0; s < kRotated.rows; ++s) {
        const int at = (row * kRotated.rows + s) * kTileWidth + x;
        ids[s] = tile.triangle[at];
        if (ids[s] < 0) continue;
        ++hits_[x];
        any = ids[s];
        low = std::min(low, tile.inverse_z[at]);
        high = std::max(high, tile.inverse_z[at]);
      }
      const auto u = static_cast<float>(rect.x + x), v = static_cast<float>(rect.y + row);
      if (hits_[x] > 0 && low >= kSameSurface * high) {
        add(x, any, u + 0.5f, v + 0.5f, hits_[x]);
        continue;
      }
      for (int s = 0; s < kRotated.rows; ++s) {
        const auto du = static_cast<float>(kRotated.offset[s] / kSubpixels);
        if (ids[s] >= 0) add(x, ids[s], u + du, v + (static_cast<float>(s) + 0.5f) / kRotated.rows, 1);
      }
    }
  }

  void shade(const Painter& painter) {
    const Painter local = painter;
    const Pinhole<float> camera = float_camera_of(painter.scene);
    const int count = count_;
    const int* triangle = triangle_;
    const float *u = u_, *v = v_, *weight = weight_;
    float *red = red_, *green = green_, *blue = blue_;
    for (int i = 0; i < count; ++i) {
      const Vec3<float> colour = local.shade(camera, triangle[i], u[i], v[i]);
      red[i] = weight[i] * colour.x;
      green[i] = weight[i] * colour.y;
      blue[i] = weight[i] * colour.z;
    }
  }

  void blend(float alpha, int width, unsigned char* row) const {
    for (int x = 0, i = 0; x < width; ++x) {
      if (hits_[x] == 0) continue;
      float sum[3] = {0, 0, 0};
      for (; i < count_ && pixel_[i] == x; ++i) {
        sum[0] += red_[i];
        sum[1] += green_[i];
        sum[2] += blue_[i];
      }
      const float weight = alpha / kRotated.rows, keep = 1 - weight * static_cast<float>(hits_[x]);
      for (int c = 0; c < 3; ++c) {
        unsigned char& out = row[3 * x + c];
        out = static_cast<unsigned char>(clamp_to(keep * out + weight * sum[c] + 0.5f, 0.0f, 255.0f));
      }
    }
  }

 private:
  void add(int x, int triangle, float u, float v, int weight) {
    pixel_[count_] = x;
    triangle_[count_] = triangle;
    u_[count_] = u;
    v_[count_] = v;
    weight_[count_++] = static_cast<float>(weight);
  }

  static constexpr int kMost = kTileWidth * kMaxRows;
  int count_ = 0, hits_[kTileWidth], pixel_[kMost], triangle_[kMost];
  float u_[kMost], v_[kMost], weight_[kMost], red_[kMost], green_[kMost], blue_[kMost];
};

}  // namespace

extern "C" {

// depth (H, W) m, infinite where there is nothing; triangle (H, W), -1 there; barycentric (H, W, 3), 0 there.
void raster_rasterize(const RasterScene* scene, float* depth, int* triangle, float* barycentric, int threads) {
  const Pinhole<float> camera = float_camera_of(*scene);
  for_each_tile(*scene, kCentre, true, threads, [&](const TileRect& rect, const TileBuffer& tile) {
    for (int y = 0; y < rect.height; ++y) {
      for (int x = 0; x < rect.width; ++x) {
        const int64_t at = static_cast<int64_t>(rect.y + y) * scene->width + rect.x + x;
        const int id = tile.triangle[y * kTileWidth + x];
        triangle[at] = id;
        depth[at] = id < 0 ? std::numeric_limits<float>::infinity() : 1 / tile.inverse_z[y * kTileWidth + x];
        Vec3<float> b{0, 0, 0};
        if (id >= 0) {
          b = barycentric_at(
              *scene, id,
              pixel_ray(camera, static_cast<float>(rect.x + x) + 0.5f, static_cast<float>(rect.y + y) + 0.5f));
        }
        barycentric[3 * at] = b.x;
        barycentric[3 * at + 1] = b.y;
        barycentric[3 * at + 2] = b.z;
      }
    }
  });
}

// Blends the lit scene over image (H, W, 3), in place.
void raster_overlay(const RasterScene* scene, const OverlayStyle* style, const float* normals, const float* colours,
                    unsigned char* image, int threads) {
  const Painter painter{*scene, *style, normals, colours};
  for_each_tile(*scene, kRotated, false, threads, [&](const TileRect& rect, const TileBuffer& tile) {
    ShadingRow row;
    for (int y = 0; y < rect.height; ++y) {
      row.gather(tile, rect, y);
      row.shade(painter);
      row.blend(style->alpha, rect.width, image + (static_cast<int64_t>(rect.y + y) * scene->width + rect.x) * 3);
    }
  });
}

// Sums of the faces' area-weighted normals at each vertex, scaled to unit length; 0 where no face has an area.
void raster_vertex_normals(const RasterScene* scene, float* normals, int threads) {
  std::fill_n(normals, 3 * static_cast<int64_t>(scene->n_vertices), 0.0f);
  for (int t = 0; t < scene->n_faces; ++t) {
    const int* corner = scene->faces + 3 * static_cast<int64_t>(t);
    const Vec3<float> v0 = load3(scene->vertices + 3 * static_cast<int64_t>(corner[0]));
    const Vec3<float> n = cross(load3(scene->vertices + 3 * static_cast<int64_t>(corner[1])) - v0,
                                load3(scene->vertices + 3 * static_cast<int64_t>(corner[2])) - v0);
    for (int i = 0; i < 3; ++i) {
      float* at = normals + 3 * static_cast<int64_t>(corner[i]);
      at[0] += n.x;
      at[1] += n.y;
      at[2] += n.z;
    }
  }
  parallel_chunks(scene->n_vertices, 4096, threads, [&](int, int first, int last) {
    for (int i = first; i < last; ++i) {
      float* n = normals + 3 * static_cast<int64_t>(i);
      const float length2 = dot(load3(n), load3(n));
      const float scale = length2 > 0 ? 1 / std::sqrt(length2) : 0.0f;
      for (int c = 0; c < 3; ++c) n[c] *= scale;
    }
  });
}

// out (pixels, channels) = barycentric blend of the corners' attributes (n_vertices, channels); 0 where triangle is -1.
void raster_interpolate(const int* faces, const int* triangle, const float* barycentric, const float* attributes,
                        float* out, int pixels, int channels, int threads) {
  parallel_chunks(pixels, 8192, threads, [&](int, int first, int last) {
    for (int64_t i = first; i < last; ++i) {
      float* to = out + i * channels;
      std::fill_n(to, channels, 0.0f);
      if (triangle[i] < 0) continue;
      for (int k = 0; k < 3; ++k) {
        const float b = barycentric[3 * i + k];
        const float* from =
            attributes + static_cast<int64_t>(faces[3 * static_cast<int64_t>(triangle[i]) + k]) * channels;
        for (int c = 0; c < channels; ++c) to[c] += b * from[c];
      }
    }
  });
}

// out (pixels, channels) = bilinear texture (height, width, channels) at uv (pixels, 2), repeated outside 0..1; v up.
void raster_sample_texture(const float* texture, const float* uv, float* out, int pixels, int height, int width,
                           int channels, int threads) {
  parallel_chunks(pixels, 8192, threads, [&](int, int first, int last) {
    for (int64_t i = first; i < last; ++i) {
      const float u = uv[2 * i] - std::floor(uv[2 * i]), v = uv[2 * i + 1] - std::floor(uv[2 * i + 1]);
      const float x = u * static_cast<float>(width) - 0.5f, y = (1 - v) * static_cast<float>(height) - 0.5f;
      const float x_floor = std::floor(x), y_floor = std::floor(y), fx = x - x_floor, fy = y - y_floor;
      const int x0 = (static_cast<int>(x_floor) + width) % width, x1 = (x0 + 1) % width;
      const int y0 = (static_cast<int>(y_floor) + height) % height, y1 = (y0 + 1) % height;
      auto texel = [&](int ty, int tx) { return texture + (static_cast<int64_t>(ty) * width + tx) * channels; };
      for (int c = 0; c < channels; ++c) {
        const float top = (1 - fx) * texel(y0, x0)[c] + fx * texel(y0, x1)[c];
        const float bottom = (1 - fx) * texel(y1, x0)[c] + fx * texel(y1, x1)[c];
        out[i * channels + c] = (1 - fy) * top + fy * bottom;
      }
    }
  });
}

}  // extern "C"
}  // namespace kernels
