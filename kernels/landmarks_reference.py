"""The ops of `landmarks` in plain numpy and scipy: the definition of what the C++ computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from kernels.landmarks_values import BodyPlace, CarriedPoints, LandmarkView, RotationPull

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PosedLandmarks:
    """Points and joints of one pose before `transl`, with the points' derivative by the unknowns."""

    points: Array
    joints: Array
    rest_joints: Array
    world: Array
    jacobian: Array
    """(n, 3, X)"""


def skew(vectors: Array) -> Array:
    """(..., 3) → (..., 3, 3) with skew(a) @ b = a × b."""
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*vectors.shape[:-1], 3, 3)


def pose(body: CarriedPoints, place: BodyPlace) -> PosedLandmarks:
    """The points where `place` puts them, and how they move with it."""
    rest_joints = body.joints + body.joints_betas @ place.betas
    world, joints, d_joints = _chain(body, place.rotations, rest_joints)
    gather = (body.points == np.arange(body.count)[:, None]).astype(float)
    turned = world[body.bones]
    arms = body.rest + body.rest_betas @ place.betas
    moved = np.einsum("pcd,pd->pc", turned, arms) + body.weights[:, None] * joints[body.bones]
    d_moved = turned @ body.rest_betas + body.weights[:, None, None] * d_joints[body.bones]
    d_betas = np.einsum("kp,pcb->kcb", gather, d_moved)

    below = _descends(body.parents)[:, body.bones].T  # (pairs, J)
    lever = np.einsum("kp,pj,pc->kjc", gather, below, moved)
    lever -= np.einsum("kp,pj,p,jc->kjc", gather, below, body.weights, joints)
    d_rotation = np.swapaxes(-(skew(lever) @ world), 1, 2)

    count = body.count
    position = np.broadcast_to(np.eye(3), (count, 3, 3))
    jacobian = np.concatenate([d_rotation.reshape(count, 3, -1), d_betas, position], axis=2)
    return PosedLandmarks(gather @ moved, joints, rest_joints, world, jacobian)


def linearise(body: CarriedPoints, place: BodyPlace, view: LandmarkView) -> tuple:
    """The fields of `LandmarkSystem` in their order."""
    posed = pose(body, place)
    pixel, pixel_rows = _pixels(posed, place, view)
    metric, metric_rows = _metric(posed, place, view)
    parts = [_robust(pixel, pixel_rows, view.outlier), _robust(metric, metric_rows, view.outlier)]
    behind = (posed.points[:, 2] + place.transl[2] <= view.nearest_z) & (view.pixel_weight > 0)
    cost = sum(p[0] for p in parts) + 0.5 * view.outlier**2 * int(behind.sum())
    gradient, matrix = parts[0][1] + parts[1][1], parts[0][2] + parts[1][2]
    return cost, gradient, matrix, posed.points, posed.joints, posed.rest_joints, posed.world, pixel


def _chain(body: CarriedPoints, rotations: Array, rest_joints: Array) -> tuple[Array, Array, Array]:
    """World rotations (J, 3, 3), posed joints (J, 3) and their derivatives by β (J, 3, B)."""
    world, joints, slopes = np.array(rotations), np.array(rest_joints), np.array(body.joints_betas)
    for joint, parent in enumerate(body.parents):
        if parent < 0:
            continue
        world[joint] = world[parent] @ rotations[joint]
        joints[joint] = joints[parent] + world[parent] @ (rest_joints[joint] - rest_joints[parent])
        slopes[joint] = slopes[parent] + world[parent] @ (body.joints_betas[joint] - body.joints_betas[parent])
    return world, joints, slopes


def _descends(parents: NDArray[np.int32]) -> Array:
    """(J, J): 1 where joint j (row) is bone i (column) or an ancestor of it."""
    matrix = np.eye(len(parents))
    for bone in range(len(parents)):
        ancestor = parents[bone]
        while ancestor >= 0:
            matrix[ancestor, bone] = 1.0
            ancestor = parents[ancestor]
    return matrix


def _pixels(posed: PosedLandmarks, place: BodyPlace, view: LandmarkView) -> tuple[Array, Array]:
    """Residuals (n, 2) and their rows (n, 2, X)."""
    points = posed.points + place.transl
    in_front = points[:, 2] > view.nearest_z
    safe = np.where(in_front[:, None], points, np.array([0.0, 0.0, 1.0]))
    focal, middle = np.array(view.intrinsics[:2]), np.array(view.intrinsics[2:])
    z = safe[:, 2]
    weight = view.pixel_weight * in_front
    projection = np.zeros((len(points), 2, 3))
    projection[:, 0, 0], projection[:, 1, 1] = focal[0] / z, focal[1] / z
    projection[:, :, 2] = -focal * safe[:, :2] / z[:, None] ** 2
    residual = (safe[:, :2] / z[:, None] * focal + middle - view.pixels) * weight[:, None]
    return residual, (projection * weight[:, None, None]) @ posed.jacobian


def _metric(posed: PosedLandmarks, place: BodyPlace, view: LandmarkView) -> tuple[Array, Array]:
    """Residuals (n, 3) and their rows (n, 3, X)."""
    share = view.metric_weight / view.metric_weight.sum()
    turn = _turn_from_axis(posed.joints[0] + place.transl)
    turned = view.metric @ turn.T
    goal, middle = share @ posed.points, share @ turned
    centred = turned - middle
    together = (share[:, None] * centred * (posed.points - goal)).sum()
    scale = max(together / max((share[:, None] * centred**2).sum(), 1e-9), 0.1)
    off = posed.points - (goal + scale * centred)

    factor = (view.metric_weight[:, None] / view.metric_spread)[:, :, None] * turn.T
    jacobian = posed.jacobian.copy()
    jacobian[:, :, -3:] = 0.0  # the position of the body changes nothing here
    jacobian -= np.tensordot(share, jacobian, axes=1)
    return (factor @ off[:, :, None])[:, :, 0], factor @ jacobian


def _turn_from_axis(towards: Array) -> Array:
    """The smallest rotation (3, 3) that turns the optical axis into this direction."""
    x, y, z = towards / np.linalg.norm(towards)
    if x**2 + y**2 < 1e-16:
        return np.diag([1.0, 1.0, 1.0]) if z > 0 else np.diag([-1.0, 1.0, -1.0])
    k = skew(np.array([-y, x, 0.0]))
    return np.eye(3) + k + (1 - z) / (x**2 + y**2) * (k @ k)


def _robust(residual: Array, rows: Array, outlier: float) -> tuple[float, Array, Array]:
    """residual: (n, c), rows: (n, c, X) → cost, gradient, matrix."""
    squared = (residual**2).sum(axis=1)
    shrink = 1 / (1 + squared / outlier**2)
    scaled = (rows * shrink[:, None, None]).reshape(-1, rows.shape[-1])
    return (
        0.5 * float((squared * shrink).sum()),
        scaled.T @ (residual * shrink[:, None]).reshape(-1),
        scaled.T @ scaled,
    )


def pull(rotations: Array, towards: RotationPull, gradient: Array, matrix: Array) -> float:
    """See `landmarks.pull`."""
    phi = Rotation.from_matrix(np.swapaxes(towards.targets, 1, 2) @ rotations).as_rotvec()
    beyond = phi - np.clip(phi, towards.lower, towards.upper)
    slope = towards.slope * ((beyond != 0) | (towards.lower == towards.upper))
    residual, rows = slope * beyond, slope[:, :, None] * log_derivative(phi)
    count = len(rotations)
    columns = np.arange(3 * count).reshape(count, 3)
    gradient[columns] += np.einsum("jab,ja->jb", rows, residual)
    matrix[columns[:, :, None], columns[:, None, :]] += np.einsum("jab,jac->jbc", rows, rows)
    return 0.5 * float((residual**2).sum())


def log_derivative(rotvec: Array) -> Array:
    """(..., 3) φ = log R → (..., 3, 3) d log(R exp δ)/dδ at δ = 0, the inverse of SO(3)'s right Jacobian."""
    angle = np.linalg.norm(rotvec, axis=-1)[..., None, None]
    safe = np.maximum(angle, 1e-4)
    k = skew(rotvec)
    coefficient: Array = np.where(angle > 1e-4, 1 / safe**2 - 1 / (2 * safe * np.tan(safe / 2)), 1 / 12)
    squared: Array = np.matmul(k, k)
    return np.eye(3) + 0.5 * k + coefficient * squared
