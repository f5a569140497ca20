"""Rigged, clothed people (`tracker.synth.samples.rigged_person`), posed by their own skeletons and drawn in rooms."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernels import raster
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.synth.samples.assets import people_by_name
from tracker.synth.samples.environment import Environment, light_from_environment, reached_by_lamp
from tracker.synth.samples.paints import shown_as
from tracker.synth.samples.rigged_person import RiggedPerson
from tracker.synth.textured_raster import TexturedRaster, TexturedRendering


def posed(avatar: RiggedPerson, rotations: Array) -> tuple[Array, Array]:
    """(V, 3) vertices and (24, 3) joints in m, for SMPL's (24, 3, 3) rotations relative to the parents.

    The hips stay at the origin.
    """
    local = np.broadcast_to(np.eye(3), (len(avatar.parents), 3, 3)).copy()
    local[avatar.turned] = rotations
    turns, at = local.copy(), np.zeros_like(avatar.places)
    for node, parent in enumerate(avatar.parents):
        if parent >= 0:
            turns[node] = turns[parent] @ local[node]
            at[node] = at[parent] + turns[parent] @ (avatar.places[node] - avatar.places[parent])
    move = at - np.einsum("jab,jb->ja", turns, avatar.places)
    blended = np.einsum("vj,jab->vab", avatar.weights, turns)
    vertices = np.einsum("vab,vb->va", blended, avatar.vertices) + avatar.weights @ move
    return vertices, at[avatar.turned]


def looks(folder: Path, rng: np.random.Generator, half: int | None = None) -> list[Path]:
    """The files of a folder in any order; half: only those of every other person, 0 or 1."""
    persons = list(people_by_name(folder).values())
    files = sorted(file for person in (persons if half is None else persons[half::2]) for file in person)
    return [files[i] for i in rng.permutation(len(files))]


def drawn_in(
    room: Environment, camera: Camera, R_camera_world: Array, avatar: RiggedPerson, vertices: Array
) -> TexturedRendering:
    """The avatar with vertices (V, 3) m in the camera frame, lit by the room."""
    light = light_from_environment(room.radiance, 0.4)
    points, faces = vertices.astype(np.float32), avatar.faces.astype(np.int32)
    normals = raster.vertex_normals(points, faces).numpy() @ R_camera_world
    lit = reached_by_lamp(points, faces, R_camera_world @ light.towards_lamp)
    exposure = light.on_what_faces(-R_camera_world[2]) ** -0.8
    shade = shown_as(light.falling_on(normals, lit) * exposure)
    return TexturedRaster(avatar.meshes).draw(camera, avatar.by_mesh(vertices), avatar.by_mesh(shade))
