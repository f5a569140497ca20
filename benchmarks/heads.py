"""One table of all that answers "what is not seen": heads, dense maps and landmarks, alone and as a volume fit's start.

    python -m benchmarks.heads --motion FOLDER --assets FOLDER --head hkmr=out/train/hkmr/head.safetensors \
        --dense out/train/dense_maps/dense_maps.safetensors \
        --votes out/train/vote_kinematics/inverse_kinematics.safetensors \
        --inpainting out/train/uv_inpainting/uv_inpainting.safetensors

All methods see the same crops of the same held-out people: clear; behind a patch of 40 or 80 px anywhere on the person,
or, for a few people, where it harms each method most; behind a bar, circle or rectangle of degree 3 over one joint;
with a limb, or all below the hips, covered. Joints that something covers are judged apart. Heads that were not given
are not there; the network's own comes first. Writes benchmarks/results/heads.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.volume import SampleJudge, held_out_people
from tracker.body import BodyModel, load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.core.arrays import Array
from tracker.core.camera import Camera
from tracker.core.landmark_observation import LandmarkObservation
from tracker.detect.follow import NetworkFollower, Region
from tracker.evaluation.metrics import aligned_errors, relative_errors
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.occlusion import STUDY_JOINTS, JointShape, covered, painted, polygon_mask
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.initialise.dense_surface import DenseSurface, load_dense_maps, load_uv_inpainting
from tracker.initialise.inverse_kinematics import InverseKinematics
from tracker.initialise.landmark_start import guessed_state, sight
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP, LandmarkGuide
from tracker.networks.head import RegressedPose
from tracker.networks.landmark_network import SIDE
from tracker.runtime.engine_config import EngineConfig
from tracker.weights import weights_file

RESULTS = Path(__file__).parent / "results" / "heads.json"
_REFERENCE_SIDE = 224
_DEGREE = 3
_STEPS = 10
"""Of a volume fit from a pose that was regressed."""
_LIMBS = tuple(
    (f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (("elbow", "hand"), ("knee", "foot"))
)
_LIMB_WIDTH = 44
"""px of the crop, of what covers a limb."""
_WHOLE = Region(np.full(2, SIDE / 2), float(SIDE), 0.0)

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
States = dict[str, BodyState]


@dataclass(frozen=True)
class CropReading:
    """What all methods share of one crop."""

    image: Image
    camera: Camera
    features: torch.Tensor
    trunk: torch.Tensor
    guide: dict[str, torch.Tensor]
    cameras: torch.Tensor
    """(1, 4)."""


class HeadMethods:
    """Everything that is compared, on one crop."""

    def __init__(self, network: BodyNetwork, heads: dict[str, BodyNetwork], body: BodyModel) -> None:
        self._network, self._rig = network, LandmarkRig.from_body(body)
        self._guide = LandmarkGuide(threads=1)
        self._follower = NetworkFollower(EngineConfig(threads=1))
        self._kinematics = InverseKinematics.load()
        self._volume = VolumeFitter(network, VolumeFitConfig(steps=_STEPS))
        self.seconds: dict[str, list[float]] = {}
        self._alone: dict[str, Callable[[CropReading], BodyState]] = {"part attention": self._regressor(network)}
        self._alone |= {name: self._regressor(head) for name, head in heads.items()}
        self._alone["landmarks + IK"] = self._from_landmarks

    @classmethod
    def open(
        cls, body: BodyModel, weights: Path, heads: Sequence[str], dense: Path | None, votes: Path | None,
        inpainting: Path | None,
    ) -> HeadMethods:  # fmt: skip
        """From files. heads: NAME=FILE each; dense maps need votes' inverse kinematics, too."""
        named = (each.partition("=") for each in heads)
        others = {name: BodyNetwork.load(Path(file), body) for name, _, file in named}
        methods = cls(BodyNetwork.load(weights, body), others, body)
        if dense is not None and votes is not None:
            uvi = None if inpainting is None else load_uv_inpainting(inpainting)
            surface = DenseSurface(body, load_dense_maps(dense), InverseKinematics.load(votes), uvi)
            methods.add_dense(surface, uvi is not None)
        return methods

    @property
    def names(self) -> list[str]:
        """Of what is compared, each alone."""
        return list(self._alone)

    def add_dense(self, surface: DenseSurface, inpainting: bool) -> None:
        """Adds dense maps with inverse kinematics and, where it was trained, with UV inpainting."""
        self._alone["DMP + IK"] = lambda reading: self._from_votes(surface, reading, False)
        if inpainting:
            self._alone["DMP + UVI"] = lambda reading: self._from_votes(surface, reading, True)

    @torch.no_grad()
    def __call__(self, image: Image, camera: Camera, fits: bool = True) -> States:
        """fits: whether the volume is fitted from each, too."""
        reading = self._read(image, camera)
        states: States = {}
        for name, method in self._alone.items():
            states[name] = self._timed(name, method, reading)
            if fits:
                states[f"{name} + volume"] = self._timed("volume", self._fit_from(states[name]), reading)
        return states

    def _fit_from(self, start: BodyState) -> Callable[[CropReading], BodyState]:
        def fitted(reading: CropReading) -> BodyState:
            map_camera = reading.cameras[0].double().numpy() * MAP / SIDE
            observed = self._volume.observe(reading.features)
            return self._volume.fit(observed, map_camera, PoseBelief.around(start, self._volume.config)).state

        return fitted

    def _timed(self, name: str, method: Callable[[CropReading], BodyState], reading: CropReading) -> BodyState:
        start = perf_counter()
        state = method(reading)
        self.seconds.setdefault(name, []).append(perf_counter() - start)
        return state

    def _read(self, image: Image, camera: Camera) -> CropReading:
        guide = {name: torch.from_numpy(value)[None] for name, value in self._guide(image).items()}
        crop = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        extracted = self._network.extractor(crop, guide)
        four = torch.tensor([[camera.fx, camera.fy, camera.cx, camera.cy]], dtype=torch.float32)
        return CropReading(image, camera, extracted.features, extracted.trunk, guide, four)

    def _regressor(self, network: BodyNetwork) -> Callable[[CropReading], BodyState]:
        return lambda reading: self._state(network.head(reading.trunk, reading.guide, reading.cameras))

    def _state(self, pose: RegressedPose) -> BodyState:
        betas = pose.betas[0].double().numpy()
        root = pose.root[0].double().numpy() - self._rig.root_at_rest(betas)
        return BodyState(pose.rotations[0].double().numpy(), betas, root)

    def _from_landmarks(self, reading: CropReading) -> BodyState:
        (followed,) = self._follower.follow(reading.image, [_WHOLE])
        marks = followed.reading
        observation = LandmarkObservation(reading.camera, marks.landmarks2d, marks.landmarks3d, marks.visibility)
        guess = self._kinematics(sight(observation))
        return guessed_state(self._rig, observation, guess.betas, guess)

    def _from_votes(self, surface: DenseSurface, reading: CropReading, inpainting: bool) -> BodyState:
        cameras = reading.cameras
        surface_reading = surface.read(reading.trunk, cameras)
        guess = surface_reading.guess
        if inpainting:
            guess = surface.completed_guess(surface.complete(surface_reading), cameras)
        fallback = self._network.head(reading.trunk, reading.guide, cameras).root
        (state,) = surface.states(guess, surface_reading.maps, cameras, fallback)
        return state


@dataclass(frozen=True)
class JointErrorsByCover:
    """One person's, by one method, mm."""

    mpjpe: float
    pa_mpjpe: float
    visible: float
    hidden: float
    """NaN where nothing is covered."""


def judged(judge: SampleJudge, rig: LandmarkRig, state: BodyState, mask: Mask) -> JointErrorsByCover:
    joints = (rig.pose(state.rotations, state.betas).joints + state.transl)[None]
    true = judge.sample.joints3d[None]
    each = relative_errors(joints, true, joints[:, 0], true[:, 0])[0]
    hidden = covered(mask, judge.sample.joints2d) | ~judge.sample.joint_visible
    means = [float(each[rows].mean()) if rows.any() else float("nan") for rows in (~hidden, hidden)]
    return JointErrorsByCover(float(each.mean()), float(aligned_errors(joints, true).mean()), *means)


def covers(judge: SampleJudge, number: int) -> Iterator[tuple[str, Mask]]:
    """Condition and what is covered (256, 256), of one person."""
    sample, size = judge.sample, (SIDE, SIDE)
    yield "clear", np.zeros(size, bool)
    for patch in (40, 80):
        rng = np.random.default_rng([patch, number])
        rows, columns = np.nonzero(sample.parts_amodal)
        at = rng.integers(len(rows)) if len(rows) else 0
        middle = np.array([columns[at], rows[at]]) if len(rows) else np.full(2, SIDE // 2)
        yield f"{patch} px", square(middle, patch)
    box, joint = np.array([0, 0, SIDE, SIDE]), STUDY_JOINTS[number % len(STUDY_JOINTS)]
    alone = np.full_like(sample.joints2d, np.nan)
    alone[joint] = sample.joints2d[joint]
    for shape in ("bar", "circle", "rectangle"):
        for placement in JointShape(shape, (_DEGREE,)).placements(size, box, alone, number):
            yield shape, placement.mask
    first, last = (sample.joints2d[smpl_index(name)] for name in _LIMBS[number % len(_LIMBS)])
    limb = np.zeros(size, np.uint8)
    ends = [tuple(int(v) for v in np.clip(np.rint(point), -SIDE, 2 * SIDE)) for point in (first, last)]
    cv2.line(limb, ends[0], ends[1], [1], _LIMB_WIDTH)
    yield "limb", limb.astype(bool)
    hips = sample.joints2d[[smpl_index("left_hip"), smpl_index("right_hip")], 1].mean()
    yield "lower half", np.broadcast_to(np.arange(SIDE)[:, None] + 0.5 > hips, size)


def square(middle: Array, patch: int) -> Mask:
    """(256, 256) of a patch that has this side in a 224 px crop."""
    half = patch / 2 * SIDE / _REFERENCE_SIDE
    return polygon_mask((SIDE, SIDE), middle + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))


def covered_image(judge: SampleJudge, mask: Mask, seed: Sequence[int]) -> Image:
    if not mask.any():
        return judge.sample.image
    return painted(judge.sample.image, np.ascontiguousarray(mask), Textures(), np.random.default_rng(list(seed)))


def compare(
    judges: Sequence[SampleJudge], methods: HeadMethods, rig: LandmarkRig
) -> dict[str, dict[str, dict[str, float]]]:
    """Condition → method → means."""
    rows: dict[str, dict[str, list[JointErrorsByCover]]] = {}
    for number, judge in enumerate(tqdm(judges, desc="people", disable=None)):
        for kind, (condition, mask) in enumerate(covers(judge, number)):
            states = methods(covered_image(judge, mask, (number, kind)), judge.camera)
            for name, state in states.items():
                rows.setdefault(condition, {}).setdefault(name, []).append(judged(judge, rig, state, mask))
    return {c: {name: means(each) for name, each in methods_.items()} for c, methods_ in rows.items()}


def worst(
    judges: Sequence[SampleJudge], methods: HeadMethods, rig: LandmarkRig, patch: int, stride: int
) -> dict[str, dict[str, float]]:
    """Method → means where a sliding patch harms each method most."""
    rows: dict[str, list[JointErrorsByCover]] = {}
    for number, judge in enumerate(tqdm(judges, desc=f"worst {patch} px", disable=None)):
        worst_errors: dict[str, JointErrorsByCover] = {}
        starts = (np.arange(0, _REFERENCE_SIDE - patch + 1, stride) + patch / 2) * SIDE / _REFERENCE_SIDE
        for y in starts:
            for x in starts:
                mask = square(np.array([x, y]), patch)
                image = covered_image(judge, mask, (number, int(x), int(y)))
                for name, state in methods(image, judge.camera, fits=False).items():
                    errors = judged(judge, rig, state, mask)
                    if name not in worst_errors or errors.mpjpe > worst_errors[name].mpjpe:
                        worst_errors[name] = errors
        for name, errors in worst_errors.items():
            rows.setdefault(name, []).append(errors)
    return {name: means(each) for name, each in rows.items()}


def means(each: Sequence[JointErrorsByCover]) -> dict[str, float]:
    values = {key: np.array([asdict(one)[key] for one in each]) for key in asdict(each[0])}
    return {
        key: float(np.nanmean(value)) if np.isfinite(value).any() else float("nan") for key, value in values.items()
    }


def known(figures: dict[str, float]) -> dict[str, float]:
    """Without those that are not numbers, which JSON does not have."""
    return {key: value for key, value in figures.items() if np.isfinite(value)}


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: a row a method, MPJPE / PA in each condition, and of hidden joints where something is covered."""
    methods = list(dict.fromkeys(name for condition in results.values() for name in condition))
    lines = ["| | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for name in methods:
        cells = []
        for condition in results.values():
            e = condition.get(name)
            hidden = "" if e is None or np.isnan(e["hidden"]) else f" ({e['hidden']:.0f})"
            cells.append("" if e is None else f"{e['mpjpe']:.0f} / {e['pa_mpjpe']:.0f}{hidden}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


_METHOD_OPTIONS = (
    click.option("--weights", type=click.Path(path_type=Path), default=weights_file("live"), show_default=True),
    click.option("--head", "heads", multiple=True, metavar="NAME=FILE", help="A network with another head."),
    click.option("--dense", type=click.Path(path_type=Path, exists=True), help="Weights of dense maps."),
    click.option("--votes", type=click.Path(path_type=Path, exists=True), help="Inverse kinematics from votes."),
    click.option("--inpainting", type=click.Path(path_type=Path, exists=True), help="Weights of UV inpainting."),
)


def method_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say what is compared; they arrive as the arguments of `HeadMethods.open`."""
    for option in reversed(_METHOD_OPTIONS):
        command = option(command)
    return command


@click.command()
@method_options
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=60, show_default=True)
@click.option("--worst", "worst_people", type=click.IntRange(0), default=6, show_default=True)
@click.option("--stride", type=click.IntRange(1), default=36, show_default=True, help="Of the window, px of 224.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(
    motion: Path | None, assets: Path | None, people: int, worst_people: int, stride: int, out: Path, **compared: Any
) -> None:
    """Compare heads, dense maps and landmarks, alone and as starts of the volume fit."""
    torch.set_num_threads(1)
    body = load_body(None)
    rig, methods = LandmarkRig.from_body(body), HeadMethods.open(body, **compared)
    samples = tqdm(held_out_people(people, motion, assets), total=people, desc="samples", disable=None)
    judges = [SampleJudge(body, rig, sample) for sample in samples]
    results = compare(judges, methods, rig)
    for patch in (40, 80) if worst_people else ():
        results[f"{patch} px, worst"] = worst(judges[:worst_people], methods, rig, patch, stride)
    milliseconds = {name: 1e3 * float(np.median(each)) for name, each in methods.seconds.items()}
    click.echo(table(results))
    click.echo("ms, one thread, behind the extractor: " + ", ".join(f"{n} {v:.1f}" for n, v in milliseconds.items()))
    run = {"people": people, "worst": worst_people, "stride": stride, "steps": _STEPS, "methods": methods.names}
    out.parent.mkdir(parents=True, exist_ok=True)
    errors = {c: {name: known(each) for name, each in methods_.items()} for c, methods_ in results.items()}
    out.write_text(json.dumps({"run": run, "milliseconds": milliseconds, "errors": errors}, indent=1) + "\n")


if __name__ == "__main__":
    main()
