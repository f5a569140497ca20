"""Runs inside Blender: `blender --background --python blender_script.py -- SCENE.glb OUT.blend|OUT.fbx SETTINGS.json`.

Imports the scene at the video's rate, sets size, range and camera, puts the video behind them, and saves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy

SENSOR = 36.0
"""mm of its width, to which focal lengths refer."""


def main() -> None:
    scene_path, out, settings_path = (Path(each) for each in sys.argv[sys.argv.index("--") + 1 :][:3])
    settings = json.loads(settings_path.read_text(encoding="utf-8"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = settings["fps"], 1.0
    scene.render.resolution_x, scene.render.resolution_y = settings["size"]
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = settings["pixel"]
    import_people(scene_path)
    scene.render.fps_base = settings["fps_base"]
    scene.frame_start, scene.frame_end = 0, settings["frames"] - 1
    camera = next(each for each in bpy.data.objects if each.type == "CAMERA")
    scene.camera = camera
    see_as_filmed(camera.data, settings)
    if settings["video"] is not None and Path(settings["video"]).is_file():
        show_behind(camera.data, settings["video"])
    if out.suffix == ".blend":
        # the file is moved from here to its folder: the way to the video must not depend on where it lies
        bpy.ops.wm.save_as_mainfile(filepath=str(out), compress=True, relative_remap=False)
    else:
        show_everybody_before_the_start()
        bpy.ops.export_scene.fbx(
            filepath=str(out),
            add_leaf_bones=False,
            bake_anim_use_all_actions=False,
            bake_anim_use_nla_strips=False,
            bake_anim_simplify_factor=0.0,
        )


def import_people(path: Path) -> None:
    """Bodies, skeletons and the camera, without what Blender adds for its own display."""
    plain = {"disable_bone_shape": True} if "disable_bone_shape" in options_of(bpy.ops.import_scene.gltf) else {}
    bpy.ops.import_scene.gltf(filepath=str(path), **plain)
    for node in [each for each in bpy.data.objects if each.type == "EMPTY" and not each.children]:
        bpy.data.objects.remove(node)
    for armature in [each for each in bpy.data.objects if each.type == "ARMATURE"]:
        for mesh in armature.children:
            mesh.name = f"{armature.name}_mesh"


def see_as_filmed(lens: Any, settings: dict[str, Any]) -> None:
    """What glTF cannot say of a camera: pixels that are not square, a principal point beside the middle, zoom."""
    (width, height), (wide, tall) = settings["size"], settings["pixel"]
    lens.sensor_fit, lens.sensor_width = "HORIZONTAL", SENSOR
    lens.sensor_height = SENSOR * (height * tall) / (width * wide)
    lens.shift_x, lens.shift_y = settings["shift"]
    for frame, focal in settings["lens"]:
        lens.lens = focal
        if len(settings["lens"]) > 1:
            lens.keyframe_insert("lens", frame=frame)


def options_of(operator: Any) -> Any:
    return operator.get_rna_type().properties


def show_everybody_before_the_start() -> None:
    """Skeletons in a .fbx are bound as they are at the present frame, where nobody may have no size."""
    scene = bpy.context.scene
    before = scene.frame_start - 1
    for armature in [each for each in bpy.data.objects if each.type == "ARMATURE"]:
        armature.scale = 1.0, 1.0, 1.0
        armature.keyframe_insert("scale", frame=before)
    scene.frame_set(before)


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
