"""Z-buffered triangles: the live overlay, training images, visibility.

Everything is in the camera frame of OpenCV (x right, y down, z forward, metres); pixel (x, y) has its centre at
(x + 0.5, y + 0.5). Several meshes are drawn in one call as one scene, so that they hide each other correctly: see
`join`. Arguments may be numpy arrays or torch tensors; results are torch tensors on the same device.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kernels import backend, build, mesh_drawing, raster_cuda, raster_reference
from kernels.checks import check_dtype, check_indices, check_tensor
from kernels.implementation import Implementation
from kernels.raster_values import Intrinsics, RasterMesh, SceneData, Shading, check_view, style_data, unit

if TYPE_CHECKING:
    from kernels.raster_values import ArrayOrTensor


@dataclass(frozen=True)
class Raster:
    """What each pixel's centre sees."""

    depth: Tensor
    """(H, W) float32 m along z, infinite where there is nothing."""
    triangle: Tensor
    """(H, W) int32 index into faces, -1 where there is nothing."""
    barycentric: Tensor
    """(H, W, 3) float32, perspective-correct weights of the triangle's corners; 0 where there is nothing."""


@dataclass(frozen=True)
class RasterScene:
    """Triangles in front of a camera, checked; what all implementations take."""

    vertices: Tensor
    faces: Tensor
    intrinsics: Intrinsics
    size: tuple[int, int]
    near: float = 0.01
    skip_backs: bool = False

    def __post_init__(self) -> None:
        check_dtype("vertices", self.vertices, torch.float32)
        check_tensor("vertices", self.vertices, (-1, 3))
        check_dtype("faces", self.faces, torch.int32)
        check_tensor("faces", self.faces, (-1, 3))
        if self.faces.device != self.vertices.device:
            raise ValueError(f"faces: expected device {self.vertices.device}, got {self.faces.device}")
        check_indices("faces", self.faces, self.vertices.shape[0])
        check_view(self.size, self.near)

    def c_struct(self) -> SceneData:
        """The same for C++; valid while this scene lives."""
        k = self.intrinsics
        return SceneData(
            self.vertices.data_ptr(), self.faces.data_ptr(), self.vertices.shape[0], self.faces.shape[0],
            *self.size, k.fx, k.fy, k.cx, k.cy, self.near, self.skip_backs,
        )  # fmt: skip


def _tensor(value: ArrayOrTensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.asarray(value))


def rasterize(
    vertices: ArrayOrTensor,
    faces: ArrayOrTensor,
    intrinsics: Intrinsics,
    size: tuple[int, int],
    near: float = 0.01,
    implementation: Implementation | None = None,
) -> Raster:
    """What the centre of each pixel sees of the triangles, both of whose sides count.

    vertices: (V, 3) float32 m, camera frame. faces: (F, 3) int32. size: (width, height) px. near: m; what is nearer
    is cut off. At equal depth the triangle of the lower index wins. Raises TypeError or ValueError that name the bad
    argument.
    """
    scene = RasterScene(_tensor(vertices), _tensor(faces), intrinsics, size, near)
    return _RASTERIZE[backend.choose(scene.vertices, implementation)](scene)


def _rasterize_reference(scene: RasterScene) -> Raster:
    k = scene.intrinsics
    return Raster(
        *raster_reference.rasterize(scene.vertices, scene.faces, (k.fx, k.fy, k.cx, k.cy), scene.size, scene.near)
    )


def _rasterize_cpu(scene: RasterScene) -> Raster:
    width, height = scene.size
    depth = torch.empty((height, width), dtype=torch.float32)
    triangle = torch.empty((height, width), dtype=torch.int32)
    barycentric = torch.empty((height, width, 3), dtype=torch.float32)
    build.library().raster_rasterize(
        ctypes.byref(scene.c_struct()), *map(build.pointer, (depth, triangle, barycentric)), backend.threads()
    )
    return Raster(depth, triangle, barycentric)


def vertex_normals(
    vertices: ArrayOrTensor, faces: ArrayOrTensor, implementation: Implementation | None = None
) -> Tensor:
    """(V, 3) unit normals: the area-weighted mean of the faces around each vertex; 0 where none has an area."""
    scene = RasterScene(_tensor(vertices), _tensor(faces), Intrinsics(1, 1, 0, 0), (1, 1))
    return _NORMALS[backend.choose(scene.vertices, implementation)](scene)


def _normals_reference(scene: RasterScene) -> Tensor:
    return raster_reference.vertex_normals(scene.vertices, scene.faces)


def _normals_cpu(scene: RasterScene) -> Tensor:
    normals = mesh_drawing.vertex_normals(scene.vertices.numpy(), scene.faces.numpy(), Implementation.CPU)
    return torch.from_numpy(normals)


def interpolate(
    raster: Raster, faces: ArrayOrTensor, attributes: ArrayOrTensor, implementation: Implementation | None = None
) -> Tensor:
    """(H, W, C) of vertex attributes (V, C) float32 (normals, texture coordinates, …); 0 where there is nothing."""
    corners, values = _tensor(faces), _tensor(attributes)
    check_dtype("faces", corners, torch.int32)
    check_tensor("faces", corners, (-1, 3))
    check_dtype("attributes", values, torch.float32)
    check_tensor("attributes", values, (-1, -1))
    check_indices("faces", corners, values.shape[0])
    if int(raster.triangle.max()) >= corners.shape[0]:
        raise ValueError(f"raster: its triangles do not all lie in faces, which has {corners.shape[0]}")
    return _INTERPOLATE[backend.choose(values, implementation)](raster, corners, values)


def _interpolate_reference(raster: Raster, faces: Tensor, attributes: Tensor) -> Tensor:
    return raster_reference.interpolate(raster.triangle, raster.barycentric, faces, attributes)


def _interpolate_cpu(raster: Raster, faces: Tensor, attributes: Tensor) -> Tensor:
    channels = attributes.shape[1]
    out = torch.empty((*raster.triangle.shape, channels), dtype=torch.float32)
    pointers = map(build.pointer, (faces, raster.triangle, raster.barycentric, attributes, out))
    build.library().raster_interpolate(*pointers, raster.triangle.numel(), channels, backend.threads())
    return out


def sample_texture(texture: ArrayOrTensor, uv: ArrayOrTensor, implementation: Implementation | None = None) -> Tensor:
    """(…, C): texture (h, w, C) float32 at uv (…, 2) float32, bilinear, repeated outside 0..1, v counted upwards."""
    image, at = _tensor(texture), _tensor(uv)
    check_dtype("texture", image, torch.float32)
    check_tensor("texture", image, (-1, -1, -1))
    check_tensor("uv", at, (*at.shape[:-1], 2), like=image)
    return _TEXTURE[backend.choose(image, implementation)](image, at)


def _texture_cpu(texture: Tensor, uv: Tensor) -> Tensor:
    height, width, channels = texture.shape
    out = torch.empty((*uv.shape[:-1], channels), dtype=torch.float32)
    build.library().raster_sample_texture(
        *map(build.pointer, (texture, uv, out)), uv.numel() // 2, height, width, channels, backend.threads()
    )
    return out


def join(meshes: Sequence[RasterMesh]) -> RasterMesh:
    """The meshes as one, with faces renumbered, a colour and a normal for each vertex."""
    parts = [_complete(mesh) for mesh in meshes]
    if not parts:
        raise ValueError("meshes: expected at least one")
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(part.vertices.shape[0] for part in parts[:-1])])
    faces = _concatenate([part.faces for part in parts])
    counts = [part.faces.shape[0] for part in parts]
    shift = torch.from_numpy(np.repeat(starts, counts).astype(np.int32)).to(faces.device)
    return RasterMesh(
        _concatenate([part.vertices for part in parts]),
        faces.add_(shift[:, None]) if faces.is_cuda else torch.from_numpy(faces.numpy() + shift.numpy()[:, None]),
        _concatenate([part.colour for part in parts]),  # type: ignore[misc]
        _concatenate([part.normals for part in parts]),  # type: ignore[misc]
    )


def _concatenate(parts: Sequence[ArrayOrTensor]) -> Tensor:
    tensors = [_tensor(part) for part in parts]
    if tensors[0].is_cuda:
        return torch.cat(tensors)
    # numpy on a CPU, also above: torch would wake its threads, which on a busy machine costs many times the copy.
    return torch.from_numpy(np.concatenate([tensor.numpy() for tensor in tensors]))


def _complete(mesh: RasterMesh) -> RasterMesh:
    vertices, faces = _tensor(mesh.vertices), _tensor(mesh.faces)
    rgb = np.asarray(_tensor(mesh.colour).cpu(), dtype=np.float32)  # type: ignore[arg-type]
    if rgb.shape not in ((3,), (vertices.shape[0], 3)):
        raise ValueError(f"colour: expected shape (3,) or ({vertices.shape[0]}, 3), got {rgb.shape}")
    colour = torch.from_numpy(np.array(np.broadcast_to(rgb, (vertices.shape[0], 3)), order="C")).to(vertices.device)
    normals = vertex_normals(vertices, faces) if mesh.normals is None else _tensor(mesh.normals)
    check_tensor("normals", normals, tuple(vertices.shape), like=vertices)
    return RasterMesh(vertices, faces, colour, normals)


def shade_overlay(
    image: ArrayOrTensor,
    meshes: Sequence[RasterMesh],
    intrinsics: Intrinsics,
    shading: Shading | None = None,
    near: float = 0.01,
    implementation: Implementation | None = None,
) -> Tensor:
    """The picture with the meshes drawn over it: smooth normals, two lights, antialiased edges, mutual occlusion.

    image: (H, W, 3) uint8, left as it is. Returns a new (H, W, 3) uint8. Raises TypeError or ValueError that name the
    bad argument.
    """
    picture = _tensor(image)
    check_dtype("image", picture, torch.uint8)
    check_tensor("image", picture, (-1, -1, 3))
    result = picture.clone() if picture.is_cuda else torch.from_numpy(picture.numpy().copy())
    if not meshes:
        return result
    whole = join(meshes)
    size = (picture.shape[1], picture.shape[0])
    shading = shading or Shading()
    scene = RasterScene(_tensor(whole.vertices), _tensor(whole.faces), intrinsics, size, near, shading.skip_backs)
    return _OVERLAY[backend.choose(scene.vertices, implementation)](result, scene, whole, shading)


def _overlay_reference(image: Tensor, scene: RasterScene, mesh: RasterMesh, shading: Shading) -> Tensor:
    k = scene.intrinsics
    lights = [(unit(light.direction), light.strength) for light in (shading.key, shading.fill)]
    style = raster_reference.Style(shading.alpha, shading.ambient, lights)
    attributes = torch.cat([_tensor(mesh.normals), _tensor(mesh.colour)], dim=1)  # type: ignore[arg-type]
    faces = raster_reference.front_faces(scene.vertices, scene.faces) if scene.skip_backs else scene.faces
    rays = (k.fx, k.fy, k.cx, k.cy)
    return raster_reference.shade_overlay(image, (scene.vertices, faces, attributes), rays, style, scene.near)


def _overlay_cpu(image: Tensor, scene: RasterScene, mesh: RasterMesh, shading: Shading) -> Tensor:
    build.library().raster_overlay(
        ctypes.byref(scene.c_struct()),
        ctypes.byref(style_data(shading)),
        *map(build.pointer, (mesh.normals, mesh.colour, image)),  # type: ignore[arg-type]
        backend.threads(),
    )
    return image


def _camera(k: Intrinsics) -> tuple[float, float, float, float]:
    return k.fx, k.fy, k.cx, k.cy


def _rasterize_cuda(scene: RasterScene) -> Raster:
    surface = (scene.vertices, scene.faces)
    return Raster(*raster_cuda.rasterize(surface, _camera(scene.intrinsics), scene.size, scene.near))


def _normals_cuda(scene: RasterScene) -> Tensor:
    return raster_cuda.vertex_normals((scene.vertices, scene.faces))


def _overlay_cuda(image: Tensor, scene: RasterScene, mesh: RasterMesh, shading: Shading) -> Tensor:
    surface, view = (scene.vertices, scene.faces), (_camera(scene.intrinsics), scene.near, scene.skip_backs)
    attributes = (_tensor(mesh.normals), _tensor(mesh.colour))  # type: ignore[arg-type]
    return raster_cuda.shade_overlay(image, surface, attributes, view, style_data(shading))


_RASTERIZE = {
    Implementation.REFERENCE: _rasterize_reference,
    Implementation.CPU: _rasterize_cpu,
    Implementation.CUDA: _rasterize_cuda,
}
_NORMALS = {
    Implementation.REFERENCE: _normals_reference,
    Implementation.CPU: _normals_cpu,
    Implementation.CUDA: _normals_cuda,
}
# Gathering is what torch does well on a GPU: the reference is the implementation there.
_INTERPOLATE = {
    Implementation.REFERENCE: _interpolate_reference,
    Implementation.CPU: _interpolate_cpu,
    Implementation.CUDA: _interpolate_reference,
}
_TEXTURE = {
    Implementation.REFERENCE: raster_reference.sample_texture,
    Implementation.CPU: _texture_cpu,
    Implementation.CUDA: raster_reference.sample_texture,
}
_OVERLAY = {
    Implementation.REFERENCE: _overlay_reference,
    Implementation.CPU: _overlay_cpu,
    Implementation.CUDA: _overlay_cuda,
}
