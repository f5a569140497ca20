"""Runs inside Blender: `blender --background --python blender_script.py -- SCENE.glb OUT.blend|OUT.fbx SETTINGS.json`.

Imports the scene at the video's rate, sets size, range and camera, puts the video behind them, and saves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy


def main() -> None:
    scene_path, out, settings_path = (Path(each) for each in sys.argv[sys.argv.index("--") + 1 :][:3])
    settings = json.loads(settings_path.read_text(encoding="utf-8"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = settings["fps"], settings["fps_base"]
    scene.render.resolution_x, scene.render.resolution_y = settings["size"]
    bpy.ops.import_scene.gltf(filepath=str(scene_path))
    scene.frame_start, scene.frame_end = 0, settings["frames"] - 1
    camera = next(each for each in bpy.data.objects if each.type == "CAMERA")
    scene.camera = camera
    camera.data.shift_x, camera.data.shift_y = settings["shift"]
    if settings["video"] is not None and Path(settings["video"]).is_file():
        show_behind(camera.data, settings["video"])
    if out.suffix == ".blend":
        bpy.ops.wm.save_as_mainfile(filepath=str(out), compress=True)
    else:
        bpy.ops.export_scene.fbx(
            filepath=str(out), add_leaf_bones=False, bake_anim_use_all_actions=False, bake_anim_use_nla_strips=False
        )


def show_behind(lens: Any, video: str) -> None:
    """The video as the camera's background picture, in step with the scene."""
    lens.show_background_images = True
    background = lens.background_images.new()
    background.source = "MOVIE_CLIP"
    background.clip = bpy.data.movieclips.load(video)
    background.clip.frame_start = 0
    background.clip_user.use_render_undistorted = False
    background.alpha = 1.0


main()
