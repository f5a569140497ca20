"""Every op in plain torch: the definition of what is right, and what runs where nothing faster can.

Written for reading, not for speed. The C++ and CUDA kernels are compared with these functions, value by value and
gradient by gradient (which autograd provides here). Formulas: docs/kernels.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.values import (
    Adam,
    Ellipsoids,
    Evaluation,
    FeatureBank,
    FitProblem,
    FitResult,
    Likelihood,
    Observation,
    PosedBody,
    Rendering,
    RenderSettings,
    SkinnedBody,
)

Vector = tuple[float, ...]

# --- rasteriser -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How surfaces are lit: (unit direction to the light, strength) for each light."""

    alpha: float
    ambient: float
    lights: list[tuple[Vector, float]]


def pixel_rays(intrinsics: Vector, size: tuple[int, int], offset: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """(H, W, 3) float64 directions with z = 1 through the point `offset` of each pixel."""
    fx, fy, cx, cy = intrinsics
    x = (torch.arange(size[0], dtype=torch.float64) + offset[0] - cx) / fx
    y = (torch.arange(size[1], dtype=torch.float64) + offset[1] - cy) / fy
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1)


def _screen_box(corners: Tensor, intrinsics: Vector, size: tuple[int, int], near: float) -> tuple[int, int, int, int]:
    """x0, x1, y0, y1 of the pixels that a triangle (3, 3) may touch, all if it reaches behind the near plane."""
    width, height = size
    if float(corners[:, 2].min()) < near:
        return 0, width, 0, height
    fx, fy, cx, cy = intrinsics
    x, y = fx * corners[:, 0] / corners[:, 2] + cx, fy * corners[:, 1] / corners[:, 2] + cy
    x0, x1 = (min(max(int(v), 0), width) for v in (x.min() - 1, x.max() + 2))
    y0, y1 = (min(max(int(v), 0), height) for v in (y.min() - 1, y.max() + 2))
    return x0, x1, y0, y1


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    intrinsics: Vector,
    size: tuple[int, int],
    near: float,
    offset: tuple[float, float] = (0.5, 0.5),
) -> tuple[Tensor, Tensor, Tensor]:
    """Depth (H, W), triangle (H, W) and barycentrics (H, W, 3) seen at the point `offset` of each pixel.

    A ray meets a triangle where its three triple products with the edges have one sign: homogeneous rasterisation,
    which needs no clipping.
    """
    rays = pixel_rays(intrinsics, size, offset)
    shape = rays.shape[:2]
    depth = torch.full(shape, math.inf, dtype=torch.float64)
    triangle = torch.full(shape, -1, dtype=torch.int32)
    barycentric = torch.zeros((*shape, 3), dtype=torch.float64)
    points = vertices.double()
    for index, face in enumerate(faces.tolist()):
        corners = points[face]
        x0, x1, y0, y1 = _screen_box(corners, intrinsics, size, near)
        part = slice(y0, y1), slice(x0, x1)
        v0, v1, v2 = corners
        edges = torch.stack([torch.linalg.cross(v1, v2), torch.linalg.cross(v2, v0), torch.linalg.cross(v0, v1)])
        u = rays[part] @ edges.T
        total = u.sum(dim=-1)
        z = torch.dot(v0, edges[0]) / total
        inside = ((u >= 0).all(dim=-1) | (u <= 0).all(dim=-1)) & (total != 0)
        hit = inside & (z >= near) & (z < depth[part])
        depth[part] = torch.where(hit, z, depth[part])
        triangle[part] = torch.where(hit, index, triangle[part])
        barycentric[part] = torch.where(hit[..., None], u / total[..., None], barycentric[part])
    return depth.float(), triangle, barycentric.float()


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(V, 3) unit normals, weighted by the faces' areas; 0 where no face has an area."""
    v0, v1, v2 = vertices[faces.long()].unbind(dim=1)
    face_normals = torch.linalg.cross(v1 - v0, v2 - v0)
    sums = torch.zeros_like(vertices)
    for corner in range(3):
        sums.index_add_(0, faces[:, corner].long(), face_normals)
    return torch.nn.functional.normalize(sums, dim=-1)


def front_faces(vertices: Tensor, faces: Tensor) -> Tensor:
    """The faces (F, 3) that a camera at the origin does not see from behind."""
    v0, v1, v2 = vertices[faces.long()].unbind(dim=1)
    return faces[(torch.linalg.cross(v1 - v0, v2 - v0) * v0).sum(dim=-1) <= 0]


def interpolate(triangle: Tensor, barycentric: Tensor, faces: Tensor, attributes: Tensor) -> Tensor:
    """(H, W, C) of vertex attributes (V, C); 0 where triangle is -1."""
    corners = faces.long()[triangle.clamp(min=0).long()]
    blended = (attributes[corners] * barycentric[..., None]).sum(dim=-2)
    return torch.where((triangle >= 0)[..., None], blended, 0.0)


def sample_texture(texture: Tensor, uv: Tensor) -> Tensor:
    """(…, C): bilinear, repeated outside 0..1, v counted upwards, texel centres at (i + 0.5) / size."""
    height, width, _ = texture.shape
    x, y = uv[..., 0].remainder(1) * width - 0.5, (1 - uv[..., 1].remainder(1)) * height - 0.5
    x0, y0 = x.floor(), y.floor()
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    columns = [(x0.long() + i) % width for i in (0, 1)]
    rows = [(y0.long() + i) % height for i in (0, 1)]
    top = (1 - fx) * texture[rows[0], columns[0]] + fx * texture[rows[0], columns[1]]
    bottom = (1 - fx) * texture[rows[1], columns[0]] + fx * texture[rows[1], columns[1]]
    return (1 - fy) * top + fy * bottom


# Four samples of a pixel, (x, y), no two in one row or column.
ROTATED_GRID = ((0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875))


def shade_overlay(
    image: Tensor, surface: tuple[Tensor, Tensor, Tensor], intrinsics: Vector, style: Style, near: float
) -> Tensor:
    """The lit surface over the image (H, W, 3) uint8, four samples a pixel.

    surface: vertices (V, 3), faces (F, 3), and attributes (V, 6): unit normal, colour 0..255.
    """
    vertices, faces, attributes = surface
    if faces.shape[0] == 0:
        return image
    size = (image.shape[1], image.shape[0])
    v0, v1, v2 = vertices[faces.long()].unbind(dim=1)
    face_normals = torch.linalg.cross(v1 - v0, v2 - v0)
    total = torch.zeros(image.shape, dtype=torch.float32)
    for offset in ROTATED_GRID:
        _, triangle, barycentric = rasterize(vertices, faces, intrinsics, size, near, offset)
        values = interpolate(triangle, barycentric, faces, attributes)
        facing = (face_normals[triangle.clamp(min=0).long()] * pixel_rays(intrinsics, size, offset)).sum(dim=-1)
        normal = torch.nn.functional.normalize(values[..., :3], dim=-1)
        normal = torch.where((facing > 0)[..., None], -normal, normal)
        brightness = torch.full(facing.shape, style.ambient)
        for direction, strength in style.lights:
            brightness = brightness + strength * (normal @ torch.tensor(direction)).clamp(min=0)
        lit = brightness[..., None] * values[..., 3:]
        covered = (triangle >= 0)[..., None]
        total += torch.where(covered, style.alpha * lit + (1 - style.alpha) * image, image.float())
    return (total / len(ROTATED_GRID) + 0.5).clamp(0, 255).to(torch.uint8)


# --- ellipsoids -------------------------------------------------------------------------------------------------------


def ray_response(ray: Tensor, centre: Tensor, precision: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """a, l, q, each (…): how sharp a kernel is along a ray, where along it it peaks, and at e^{-q}.

    ray (…, 3) unit; centre (…, 3); precision (…, 3, 3). q from the residual M − l d, as the kernels do it: the
    textbook form ½(MᵀAM − a l²) loses three more digits.
    """
    along = torch.einsum("...ij,...j->...i", precision, ray)
    a = (ray * along).sum(-1)
    depth = (along * centre).sum(-1) / a
    residual = centre - depth[..., None] * ray
    q = 0.5 * torch.einsum("...i,...ij,...j->...", residual, precision, residual)
    return a, depth, q


@torch.no_grad()
def contributors(rays: Tensor, centres: Tensor, precisions: Tensor, settings: RenderSettings) -> tuple[Tensor, Tensor]:
    """(P, n) kernels that take part at each ray, the nearest first, and which of the entries are real."""
    _, depth, q = ray_response(rays[:, None], centres, precisions)
    active = (q < -math.log(settings.threshold)) & (depth > 0) & (centres[:, 2] > settings.near)
    most = min(int(active.sum(dim=1).max()), settings.max_per_pixel)
    key = torch.where(active, depth, math.inf)
    index = torch.sort(key, dim=1, stable=True).indices[:, :most]
    return index, active.gather(1, index)


def transmit(a: Tensor, depth: Tensor, activation: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Weights (P, n) of kernels along a ray, and the ray's coverage (P,)."""
    apart = depth[:, :, None] - depth[:, None, :]
    front = 0.5 * (1 + torch.erf(torch.sqrt(a / 2)[:, None, :] * apart))
    hidden = (front * activation[:, None, :]).sum(-1)
    weight = torch.exp(tau * (0.5 - hidden)) * activation
    return weight, 1 - torch.exp(-tau * activation.sum(-1))


def _render_rays(
    rays: Tensor, kernels: tuple[Tensor, Tensor, Tensor], settings: RenderSettings
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Features (P, D), coverage, z depth (P,), and contributors' indices and weights (P, n)."""
    centres, precisions, features = kernels
    precisions = 0.5 * (precisions + precisions.transpose(-1, -2))
    index, active = contributors(rays, centres, precisions, settings)
    a, depth, q = ray_response(rays[:, None], centres[index], precisions[index])
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    a, depth = torch.where(active, a, one), torch.where(active, depth, zero)
    weight, coverage = transmit(a, depth, torch.where(active, torch.exp(-q), zero), settings.tau)
    rendered = (weight[..., None] * features[index]).sum(dim=1)
    mean_depth = (weight * depth).sum(1) / weight.sum(1) * rays[:, 2]
    z = torch.where(active.any(dim=1), mean_depth, math.inf)
    return rendered, coverage, z.detach(), torch.where(active, index, -1), weight


def _camera_rays(camera: Tensor, size: tuple[int, int]) -> Tensor:
    """(H · W, 3) unit rays through the centres of the pixels."""
    width, height = size
    x = (torch.arange(width, dtype=camera.dtype, device=camera.device) + 0.5 - camera[2]) / camera[0]
    y = (torch.arange(height, dtype=camera.dtype, device=camera.device) + 0.5 - camera[3]) / camera[1]
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    rays = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], dim=-1).reshape(-1, 3)
    return torch.nn.functional.normalize(rays, dim=-1)


_CHUNK = 1024  # rays at a time: every pair of a ray's kernels is in memory at once


def render(
    ellipsoids: Ellipsoids, cameras: Tensor, size: tuple[int, int], settings: RenderSettings, kept: int
) -> Rendering:
    """B maps of size (width, height): see `Rendering`."""
    bodies = []
    for body, camera in enumerate(cameras):
        kernels = (ellipsoids.centres[body], ellipsoids.precisions[body], ellipsoids.features[body])
        parts = [_render_rays(rays, kernels, settings) for rays in _camera_rays(camera, size).split(_CHUNK)]
        strongest = [_strongest(index, weight.detach(), kept) for *_, index, weight in parts]
        maps = [torch.cat(column) for column in zip(*(part[:3] for part in parts), strict=True)]
        maps += [torch.cat(column) for column in zip(*strongest, strict=True)]
        bodies.append([value.reshape(size[1], size[0], *value.shape[1:]) for value in maps])
    return Rendering(*(torch.stack(column) for column in zip(*bodies, strict=True)))


def _strongest(index: Tensor, weight: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    missing = max(kept - index.shape[1], 0)
    index = torch.nn.functional.pad(index, (0, missing), value=-1)
    weight = torch.nn.functional.pad(weight, (0, missing))
    by_index = torch.argsort(index, dim=1, stable=True)
    index, weight = index.gather(1, by_index), weight.gather(1, by_index)
    order = torch.sort(weight.masked_fill(index < 0, -1), dim=1, descending=True, stable=True).indices[:, :kept]
    return index.gather(1, order).int(), weight.gather(1, order)


def likelihood(ellipsoids: Ellipsoids, cameras: Tensor, seen: Observation, settings: RenderSettings) -> Likelihood:
    """How well each body explains its observed map: see `Likelihood`."""
    size = (seen.features.shape[2], seen.features.shape[1])
    bodies = []
    for body, (camera, which) in enumerate(zip(cameras, seen.index.tolist(), strict=True)):
        kernels = (ellipsoids.centres[body], ellipsoids.precisions[body], ellipsoids.features[body])
        maps = [m[which].reshape(-1, *m.shape[3:]) for m in (seen.features, seen.base, seen.weight, seen.mask)]
        chunks = zip(_camera_rays(camera, size).split(_CHUNK), *(m.split(_CHUNK) for m in maps), strict=True)
        parts = [_chunk_likelihood(chunk, kernels, seen, settings) for chunk in chunks]
        nll, occlusion, weight, support = zip(*parts, strict=True)
        bodies.append((sum(nll), torch.cat(occlusion).reshape(size[1], size[0]), sum(weight), sum(support)))
    return Likelihood(*(torch.stack(column) for column in zip(*bodies, strict=True)))


def _chunk_likelihood(
    chunk: tuple[Tensor, ...],
    kernels: tuple[Tensor, Tensor, Tensor],
    seen: Observation,
    settings: RenderSettings,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rays, observed, base, pixel_weight, mask = chunk
    rendered, coverage, _, index, weight = _render_rays(rays, kernels, settings)
    length = torch.sqrt((rendered * rendered).sum(-1) + 1e-12)
    delta = base + seen.concentration * (observed * rendered).sum(-1) / length
    gain = math.log(2) - torch.nn.functional.softplus(delta)
    cost = pixel_weight * (coverage * gain + seen.mask_weight * (coverage - mask) ** 2)
    covered = (index >= 0).any(dim=1)
    occlusion = torch.where(covered, torch.sigmoid(-delta), 0.0).detach()
    sums = torch.zeros((2, kernels[0].shape[0]), dtype=weight.dtype, device=weight.device)
    real = weight.detach() * (index >= 0)
    sums[0].index_add_(0, index.clamp(min=0).reshape(-1), real.reshape(-1))
    sums[1].index_add_(0, index.clamp(min=0).reshape(-1), (real * (1 - occlusion[:, None])).reshape(-1))
    return cost.sum(), occlusion, sums[0], sums[1]


# --- body -------------------------------------------------------------------------------------------------------------


def rotation_of(vectors: Tensor) -> Tensor:
    """(…, 3) axis-angle → (…, 3, 3), by Rodrigues' formula."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape, 3)
    return torch.linalg.matrix_exp(skew)


def pose(body: SkinnedBody, parameters: Tensor) -> PosedBody:
    """Linear blend skinning of parameters (B, X): see `SkinnedBody` and `PosedBody`."""
    theta, betas, transl = body.split(parameters)
    rest_joints = body.joints + torch.einsum("jcs,bs->bjc", body.joint_dirs, betas)
    rest_points = body.points + torch.einsum("pcs,bs->bpc", body.point_dirs, betas)
    local = rotation_of(theta)
    world: list[Tensor] = []
    place: list[Tensor] = []
    for joint, parent in enumerate(body.parents.tolist()):
        if parent < 0:
            world.append(local[:, joint])
            place.append(rest_joints[:, joint])
        else:
            bone = rest_joints[:, joint] - rest_joints[:, parent]
            world.append(world[parent] @ local[:, joint])
            place.append(place[parent] + torch.einsum("bij,bj->bi", world[parent], bone))
    rotations, joints = torch.stack(world, dim=1), torch.stack(place, dim=1) + transl[:, None]
    shift = joints - torch.einsum("bjik,bjk->bji", rotations, rest_joints)
    weights = _dense_weights(body)
    blended = torch.einsum("pj,bjik->bpik", weights, rotations)
    points = torch.einsum("bpik,bpk->bpi", blended, rest_points) + torch.einsum("pj,bji->bpi", weights, shift)
    kernels = weights[: body.kernels]
    precisions = torch.einsum("kj,bjim,kmn,bjln->bkil", kernels, rotations, body.precisions, rotations)
    ends = joints[:, body.limbs.long()]
    limbs = torch.nn.functional.normalize(ends[:, :, 1] - ends[:, :, 0], dim=-1)
    return PosedBody(joints, points, precisions, limbs)


def _dense_weights(body: SkinnedBody) -> Tensor:
    dense = body.weights.new_zeros((body.points.shape[0], body.joints.shape[0]))
    return dense.scatter_add(1, body.weight_joints.long(), body.weights)


def mix_features(bank: FeatureBank, limbs: Tensor) -> Tensor:
    """(B, K, D): each kernel's features averaged over p(orientation | direction of its limb); limbs (B, L, 3)."""
    plane = limbs[..., 1:]
    plane = plane / torch.sqrt((plane * plane).sum(-1, keepdim=True) + 1e-6)
    p = torch.softmax(bank.kappa * plane @ bank.orientations.T, dim=-1)
    return torch.einsum("bko,kod->bkd", p[:, bank.limb.long()], bank.features).contiguous()


def keypoint_cost(points: Tensor, cameras: Tensor, targets: Tensor, sigma: float, near: float) -> Tensor:
    """(B, n) Geman–McClure cost of reprojected points (B, n, 3); 1 for a point that is not beyond `near`."""
    in_front = points[..., 2] > near
    z = torch.where(in_front, points[..., 2], 1.0)[..., None]
    pixels = points[..., :2] / z * cameras[:, None, :2] + cameras[:, None, 2:]
    square = ((pixels - targets) ** 2).sum(-1) / sigma**2
    return torch.where(in_front, square / (1 + square), 1.0)


def body_loss(problem: FitProblem, parameters: Tensor) -> tuple[Tensor, Likelihood]:
    """(B,) the loss of parameters (B, X) without the prior, and what the picture says."""
    body, terms = problem.body, problem.terms
    posed = pose(body, parameters)
    centres, keypoints = posed.points[:, : body.kernels], posed.points[:, body.kernels :]
    features = mix_features(problem.bank, posed.limbs)
    ellipsoids = Ellipsoids(centres.contiguous(), posed.precisions.contiguous(), features)
    said = likelihood(ellipsoids, problem.cameras, problem.observation, problem.settings)
    near = problem.settings.near
    costs = keypoint_cost(keypoints, problem.cameras, terms.targets, terms.keypoint_sigma, near)
    residual = parameters @ terms.linear_matrix.T - terms.linear_target
    total = terms.likelihood_weight * said.nll + terms.keypoint_weight * (terms.confidence * costs).sum(-1)
    return total + 0.5 * (residual * residual).sum(-1), said


def evaluate(problem: FitProblem, parameters: Tensor) -> Evaluation:
    """Loss and gradient of parameters (B, X), the prior's included."""
    leaf = parameters.detach().requires_grad_()
    with torch.enable_grad():
        value, said = body_loss(problem, leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    value = value.detach()
    if problem.terms.prior is not None:
        more, slope = problem.terms.prior(parameters)
        value, gradient = value + more, gradient + slope
    return Evaluation(value, gradient, said.occlusion, said.weight, said.support)


def fit(problem: FitProblem, start: Tensor, adam: Adam) -> FitResult:
    """Adam from parameters (B, X)."""
    x, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    best, best_loss, losses = start.clone(), torch.full_like(start[:, 0], math.inf), []
    for step in range(1, adam.steps + 2):
        found = evaluate(problem, x)
        value, gradient = found.loss, found.gradient
        losses.append(value)
        better = value < best_loss
        best, best_loss = torch.where(better[:, None], x, best), torch.where(better, value, best_loss)
        if step > adam.steps:
            break
        mean = adam.beta1 * mean + (1 - adam.beta1) * gradient
        square = adam.beta2 * square + (1 - adam.beta2) * gradient * gradient
        scale = torch.sqrt(square / (1 - adam.beta2**step)) + adam.epsilon
        x = x - adam.rates * (mean / (1 - adam.beta1**step)) / scale
    return FitResult(best, x, torch.stack(losses, dim=1))
