"""Runs inside Blender: `blender --background --python blender_reads.py -- FOLDER OUT.npz SETTINGS.json`

Imports each file of a run's folder into an empty scene and saves, under `<file>/<person>`, where Blender has the
heads of its bones (frame, bone, 3) m, in `<file>/<person>/seen` where its own camera shows them (frame, bone, 2),
0..1 from the lower left, and in `<file>/<person>/names` what they are called; in `<file>/videos/paths` which videos
it shows. Frames count from the run's first, 0. Settings: fps, size (px), pixel (its width and height), frames.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view

BVH_FIRST = 1
"""Blender's frame for the first row of a file."""
OPENERS: dict[str, Callable[[str], object]] = {
    ".glb": lambda path: bpy.ops.import_scene.gltf(filepath=path),
    ".bvh": lambda path: bpy.ops.import_anim.bvh(filepath=path),
    ".usdc": lambda path: bpy.ops.wm.usd_import(filepath=path),
    ".fbx": lambda path: bpy.ops.import_scene.fbx(filepath=path, anim_offset=0.0),
    ".blend": lambda path: bpy.ops.wm.open_mainfile(filepath=path),
}


def main() -> None:
    folder, out, settings_path = sys.argv[sys.argv.index("--") + 1 :]
    settings = json.loads(Path(settings_path).read_text(encoding="utf-8"))
    found: dict[str, np.ndarray] = {}
    for path in sorted(Path(folder).iterdir()):
        if path.suffix in OPENERS:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            prepare(bpy.context.scene.render, settings)
            OPENERS[path.suffix](str(path))
            found[f"{path.name}/videos/paths"] = np.array(
                [bpy.path.abspath(clip.filepath) for clip in bpy.data.movieclips]
            )
            late = BVH_FIRST if path.suffix == ".bvh" else 0
            for armature in [each.name for each in bpy.data.objects if each.type == "ARMATURE"]:
                frames = [late + each for each in settings["frames"]]
                found |= in_motion(f"{path.name}/{person_of(armature)}", armature, frames)
    np.savez(out, **found)


def prepare(render: Any, settings: dict[str, Any]) -> None:
    """The scene as whoever imports sets it: the video's rate and size."""
    render.fps, render.fps_base = round(settings["fps"]), round(settings["fps"]) / settings["fps"]
    render.resolution_x, render.resolution_y = settings["size"]
    render.pixel_aspect_x, render.pixel_aspect_y = settings["pixel"]


def person_of(armature: str) -> str:
    """The name of the armature, or of what it is in, that says who it is."""
    node = bpy.data.objects[armature]
    while node.parent is not None and not node.name.startswith("person_"):
        node = node.parent
    return node.name.partition(".")[0]


def in_motion(label: str, armature: str, frames: list[int]) -> dict[str, np.ndarray]:
    scene, places, seen = bpy.context.scene, [], []
    camera = next((each for each in bpy.data.objects if each.type == "CAMERA"), None)
    names = [bone.name for bone in bpy.data.objects[armature].pose.bones]
    for frame in frames:
        scene.frame_set(frame)
        there = bpy.data.objects[armature].evaluated_get(bpy.context.evaluated_depsgraph_get())
        heads = [there.matrix_world @ there.pose.bones[name].head for name in names]
        places.append([list(head) for head in heads])
        if camera is not None:
            seen.append([list(world_to_camera_view(scene, camera, head))[:2] for head in heads])
    return {label: np.array(places), f"{label}/seen": np.array(seen), f"{label}/names": np.array(names)}


main()
