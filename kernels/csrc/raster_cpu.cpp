// Z-buffered triangles on a CPU. Triangles are set up in chunks, sorted into tiles, and each tile fills its own small
// depth buffer, a block of samples at a time, and shades its pixels while they are in the cache.

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
constexpr int kLanes = 16;  // samples that are filled at a time: a block of neighbours in one row of pixels
constexpr int kFaceChunk = 1024;
constexpr int kUnits = static_cast<int>(kSubpixels);  // of the fixed-point grid in a pixel

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
      if (scene.skip_backs && faces_away(polygon[0], polygon[1], polygon[2])) continue;
      const DepthPlane plane = depth_plane(camera, polygon[0], polygon[1], polygon[2]);
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

// The samples of one tile, those of a pixel beside each other: sample s of pixel (x, y) at (y * kTileWidth + x) * rows
// + s.
struct TileBuffer {
  alignas(64) float inverse_z[kTileSamples];
  alignas(64) int triangle[kTileSamples];

  void clear(int rows) {
    std::fill_n(inverse_z, kTileWidth * kTileHeight * rows, 0.0f);
    std::fill_n(triangle, kTileWidth * kTileHeight * rows, -1);
  }
};

struct TileRect {
  int x, y, width, height;  // pixels
};

// Where the samples of a block lie, in fixed-point units from its left upper corner.
struct BlockGrid {
  int pixels;  // that a block is wide
  int x[kLanes], y[kLanes];

  explicit BlockGrid(const SampleGrid& grid) : pixels(kLanes / grid.rows) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const int sample = lane % grid.rows;
      x[lane] = lane / grid.rows * kUnits + static_cast<int>(grid.offset[sample]);
      y[lane] = (2 * sample + 1) * kUnits / (2 * grid.rows);
    }
  }
};

// The blocks of a tile that a triangle may touch.
struct BlockRange {
  int first_x, last_x, first_y, last_y;  // pixels of the tile; the first of a block, any of it

  BlockRange(const TriangleSetup& t, const TileRect& rect, int pixels)
      : first_x((std::max(t.x_first, 0) / kUnits - rect.x) / pixels * pixels),
        last_x(std::min(t.x_last / kUnits - rect.x, rect.width - 1)),
        first_y(std::max(t.y_first, 0) / kUnits - rect.y),
        last_y(std::min(t.y_last / kUnits - rect.y, rect.height - 1)) {
    first_x = std::max(first_x, 0);
    first_y = std::max(first_y, 0);
  }
};

// A triangle over the samples of any block, relative to the block's corner. Edge: int where the triangle is so small
// that its edge functions fit, otherwise double; exact in either.
template <typename Edge>
struct BlockLanes {
  alignas(64) Edge edge[3][kLanes];
  alignas(64) float slope[kLanes];  // 1/z
  Edge step[3];                     // of the edges, to the next block

  BlockLanes(const TriangleSetup& t, const BlockGrid& block) {
    const auto zx = static_cast<float>(t.plane.zx), zy = static_cast<float>(t.plane.zy);
    for (int i = 0; i < 3; ++i) {
      const Edge a = static_cast<Edge>(t.a[i]), b = static_cast<Edge>(t.b[i]);
      step[i] = a * static_cast<Edge>(block.pixels * kUnits);
#pragma omp simd
      for (int lane = 0; lane < kLanes; ++lane) {
        edge[i][lane] = a * static_cast<Edge>(block.x[lane]) + b * static_cast<Edge>(block.y[lane]);
      }
    }
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      slope[lane] = zx * static_cast<float>(block.x[lane]) + zy * static_cast<float>(block.y[lane]);
    }
  }

  // beyond: minus the edge functions at the corner; z_corner: 1/z there.
  void fill(const TriangleSetup& t, const Edge* beyond, float z_corner, float* inverse_z, int* triangle) const {
    const Edge e0 = beyond[0], e1 = beyond[1], e2 = beyond[2];
    const float z_low = t.inverse_z_low, z_high = t.inverse_z_high;
    const int id = t.triangle;
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const bool inside = (edge[0][lane] >= e0) & (edge[1][lane] >= e1) & (edge[2][lane] >= e2);
      const float z = clamp_to(z_corner + slope[lane], z_low, z_high);
      const bool nearer = inside & (z > inverse_z[lane]);
      inverse_z[lane] = nearer ? z : inverse_z[lane];
      triangle[lane] = nearer ? id : triangle[lane];
    }
  }
};

template <typename Edge>
void fill_blocks(const TriangleSetup& t, const BlockGrid& block, const TileRect& rect, int rows, TileBuffer& tile) {
  const BlockLanes<Edge> lanes(t, block);
  const BlockRange range(t, rect, block.pixels);
  const double left = (rect.x + range.first_x) * kSubpixels, z_step = t.plane.zx * block.pixels * kSubpixels;
  for (int py = range.first_y; py <= range.last_y; ++py) {
    const double top = (rect.y + py) * kSubpixels;
    Edge beyond[3];
    for (int i = 0; i < 3; ++i) beyond[i] = static_cast<Edge>(-(t.a[i] * left + t.b[i] * top + t.c[i]));
    double z = t.plane.zx * left + t.plane.zy * top + t.plane.z0;
    int at = (py * kTileWidth + range.first_x) * rows;
    for (int px = range.first_x; px <= range.last_x; px += block.pixels) {
      lanes.fill(t, beyond, static_cast<float>(z), tile.inverse_z + at, tile.triangle + at);
      for (int i = 0; i < 3; ++i) beyond[i] -= lanes.step[i];
      z += z_step;
      at += kLanes;
    }
  }
}

void fill_triangle(const TriangleSetup& t, const BlockGrid& block, const TileRect& rect, int rows, TileBuffer& tile) {
  // edge functions of a triangle within so many units, taken as far as a block's width beyond it, stay below 2^31
  constexpr int kSmall = 1 << 13;
  if (t.x_last - t.x_first < kSmall && t.y_last - t.y_first < kSmall) {
    fill_blocks<int>(t, block, rect, rows, tile);
  } else {
    fill_blocks<double>(t, block, rect, rows, tile);
  }
}

// Calls finish(rect, buffer) for every tile that some triangle touches and, if `empty` is set, for the others too.
template <typename Finish>
void for_each_tile(const RasterScene& scene, const SampleGrid& grid, bool empty, int threads, Finish&& finish) {
  static thread_local Binning binning;
  binning.build(scene, threads);
  const Binning& bins = binning;
  const BlockGrid block(grid);
  ThreadPool::instance().run(bins.tiles(), threads, [&](int index) {
    const bool touched = bins.begin(index) != bins.end(index);
    if (!touched && !empty) return;
    TileRect rect{index % bins.tiles_x() * kTileWidth, index / bins.tiles_x() * kTileHeight, 0, 0};
    rect.width = std::min(kTileWidth, scene.width - rect.x);
    rect.height = std::min(kTileHeight, scene.height - rect.y);
    static thread_local TileBuffer buffer;
    buffer.clear(grid.rows);
    for (auto t = bins.begin(index); t != bins.end(index); ++t) fill_triangle(**t, block, rect, grid.rows, buffer);
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
};

// As load3, in the form that a compiler makes vector instructions of.
KERNELS_HD Vec3<float> gather3(const float* values, int row) {
  return {values[3 * row], values[3 * row + 1], values[3 * row + 2]};
}

KERNELS_HD Vec3<float> blend_corners(const float* values, int i0, int i1, int i2, float b0, float b1, float b2) {
  return b0 * gather3(values, i0) + b1 * gather3(values, i1) + b2 * gather3(values, i2);
}

// The points of one row of pixels that have to be shaded: gathered, shaded in tight loops, blended.
class ShadingRow {
 public:
  void draw(const Painter& painter, const TileBuffer& tile, const TileRect& rect, int row, unsigned char* image) {
    survey(tile, row);
    gather(tile, rect, row);
    if (count_ == 0) return;
    pad();
    for (int first = 0; first < count_; first += kLanes) {
      weigh(painter, first);
      light(painter, first);
      colour(painter, first);
    }
    blend(painter.style.alpha, rect.width, image);
  }

 private:
  // Of each pixel: how many samples hit something, the nearest triangle, and whether they lie on one surface.
  void survey(const TileBuffer& tile, int row) {
    constexpr float kSameSurface = 0.98f;
    const float* inverse_z = tile.inverse_z + row * kTileWidth * kMaxRows;
    const int* triangle = tile.triangle + row * kTileWidth * kMaxRows;
#pragma omp simd
    for (int x = 0; x < kTileWidth; ++x) {
      int hits = 0, nearest = -1;
      float low = std::numeric_limits<float>::max(), high = 0;
      for (int s = 0; s < kMaxRows; ++s) {
        const float z = inverse_z[x * kMaxRows + s];
        const int id = triangle[x * kMaxRows + s];
        hits += id >= 0;
        nearest = z > high ? id : nearest;
        low = min_of(low, id >= 0 ? z : low);
        high = max_of(high, z);
      }
      hits_[x] = hits;
      nearest_[x] = nearest;
      flat_[x] = low >= kSameSurface * high;
    }
  }

  // Samples at nearly one depth lie on one surface and are shaded once, at the pixel's centre; where the depth jumps
  // (an arm before the chest, the outline of another person) each is shaded for itself.
  void gather(const TileBuffer& tile, const TileRect& rect, int row) {
    count_ = 0;
    for (int x = 0; x < rect.width; ++x) {
      if (hits_[x] == 0) continue;
      const auto u = static_cast<float>(rect.x + x), v = static_cast<float>(rect.y + row);
      if (flat_[x]) {
        add(x, nearest_[x], u + 0.5f, v + 0.5f, hits_[x]);
        continue;
      }
      for (int s = 0; s < kRotated.rows; ++s) {
        const int id = tile.triangle[(row * kTileWidth + x) * kRotated.rows + s];
        const auto du = static_cast<float>(kRotated.offset[s] / kSubpixels);
        if (id >= 0) add(x, id, u + du, v + (static_cast<float>(s) + 0.5f) / kRotated.rows, 1);
      }
    }
  }

  void add(int x, int triangle, float u, float v, int samples) {
    pixel_[count_] = x;
    triangle_[count_] = triangle;
    u_[count_] = u;
    v_[count_] = v;
    samples_[count_++] = static_cast<float>(samples);
  }

  // Whole lanes are shaded: what follows the last point is like the first.
  void pad() {
    std::fill_n(triangle_ + count_, kLanes, triangle_[0]);
    std::fill_n(u_ + count_, kLanes, u_[0]);
    std::fill_n(v_ + count_, kLanes, v_[0]);
    std::fill_n(samples_ + count_, kLanes, 0.0f);
  }

  void weigh(const Painter& painter, int first) {
    const Pinhole<float> camera = float_camera_of(painter.scene);
    const float* vertices = painter.scene.vertices;
    const int* faces = painter.scene.faces;
#pragma omp simd
    for (int i = first; i < first + kLanes; ++i) {
      const int i0 = faces[3 * triangle_[i]], i1 = faces[3 * triangle_[i] + 1], i2 = faces[3 * triangle_[i] + 2];
      const Vec3<float> b = ray_barycentric(pixel_ray(camera, u_[i], v_[i]), gather3(vertices, i0),
                                            gather3(vertices, i1), gather3(vertices, i2));
      weight_[0][i] = b.x;
      weight_[1][i] = b.y;
      weight_[2][i] = b.z;
    }
  }

  void light(const Painter& painter, int first) {
    const Lighting lights = painter.style.light;
    if (lights.key_strength == 0 && lights.fill_strength == 0) {
      std::fill_n(light_ + first, kLanes, lights.ambient);
      return;
    }
    const RasterScene& scene = painter.scene;
    const Pinhole<float> camera = float_camera_of(scene);
    for (int i = first; i < first + kLanes; ++i) {
      const int* corner = scene.faces + 3 * static_cast<int64_t>(triangle_[i]);
      const bool back = seen_from_behind(pixel_ray(camera, u_[i], v_[i]), gather3(scene.vertices, corner[0]),
                                         gather3(scene.vertices, corner[1]), gather3(scene.vertices, corner[2]));
      const Vec3<float> normal =
          blend_corners(painter.normals, corner[0], corner[1], corner[2], weight_[0][i], weight_[1][i], weight_[2][i]);
      light_[i] = lit(lights, normal, back);
    }
  }

  void colour(const Painter& painter, int first) {
    const int* faces = painter.scene.faces;
    const float* colours = painter.colours;
#pragma omp simd
    for (int i = first; i < first + kLanes; ++i) {
      const int i0 = faces[3 * triangle_[i]], i1 = faces[3 * triangle_[i] + 1], i2 = faces[3 * triangle_[i] + 2];
      const float shown = samples_[i] * light_[i];
      const Vec3<float> c = blend_corners(colours, i0, i1, i2, weight_[0][i], weight_[1][i], weight_[2][i]);
      colour_[0][i] = shown * c.x;
      colour_[1][i] = shown * c.y;
      colour_[2][i] = shown * c.z;
    }
  }

  void blend(float alpha, int width, unsigned char* image) {
    const float weight = alpha / kRotated.rows;
    std::fill_n(sum_, 3 * width, 0.5f);
    for (int i = 0; i < count_; ++i) {
      for (int c = 0; c < 3; ++c) sum_[3 * pixel_[i] + c] += weight * colour_[c][i];
    }
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) keep_[3 * x + c] = 1 - weight * static_cast<float>(hits_[x]);
    }
#pragma omp simd
    for (int i = 0; i < 3 * width; ++i) {
      image[i] = static_cast<unsigned char>(clamp_to(keep_[i] * image[i] + sum_[i], 0.0f, 255.0f));
    }
  }

  static constexpr int kMost = kTileWidth * kMaxRows + kLanes;
  int count_ = 0, hits_[kTileWidth], nearest_[kTileWidth], flat_[kTileWidth], pixel_[kMost], triangle_[kMost];
  float u_[kMost], v_[kMost], samples_[kMost], weight_[3][kMost], light_[kMost], colour_[3][kMost];
  float sum_[3 * kTileWidth], keep_[3 * kTileWidth];
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
      row.draw(painter, tile, rect, y, image + (static_cast<int64_t>(rect.y + y) * scene->width + rect.x) * 3);
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
