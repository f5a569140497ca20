"""What the learned volume is worth: pose errors on held-out synthetic people, clean and behind textured patches.

    python -m benchmarks.volume --motion FOLDER --assets FOLDER

Every method sees the same crops: the mean pose; the regression head; the head refined by the volume; the landmark
fit; the landmark fit refined by the volume; the landmark fit that believes the head's rotations, too, without and with
the volume; and of this and one that believes them more whichever the picture shows, which is how the tracker starts.
Patches of 40 and 80 px of a 224 px crop lie anywhere on the person, or, for a few people, where a window that slides
over the crop finds each method's own worst place. Shapes, looks, clothes, light and motion clips are those that
training never sees.
Writes benchmarks/results/volume.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from kernels.ellipsoids_values import FeatureObservation
from tracker.body import BodyModel, load_body
from tracker.body.body_state import BodyState
from tracker.body.joint_limits import JointPrior
from tracker.body.kinematics import LandmarkRig
from tracker.body.smpl_joints import smpl_index
from tracker.body.stature import Stature
from tracker.core.arrays import NUM_BETAS, NUM_JOINTS, Array
from tracker.core.camera import Camera
from tracker.core.landmark_observation import LandmarkObservation
from tracker.core.person import Pose
from tracker.detect.follow import NetworkFollower, Region
from tracker.evaluation.metrics import aligned_errors, keypoint_distances, relative_errors
from tracker.evaluation.occluder_textures import Textures
from tracker.evaluation.occlusion import painted, polygon_mask
from tracker.extract.feature_extractor import WEIGHTS, CropFeatures, FeatureExtractor
from tracker.extract.feature_network import FeatureModel
from tracker.fit.landmark_fitter import Belief, FitConfig, LandmarkFit, LandmarkFitter, Regressed
from tracker.fit.person_fitter import ShapeMemory
from tracker.fit.pose_prior import PosePrior
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.initialise.landmark_start import initial_state
from tracker.motion import MotionLibrary, PoseSampler
from tracker.networks.body_network import BodyNetwork
from tracker.networks.crop_network import landmarks_and_maps
from tracker.networks.landmark_files import landmark_network_file
from tracker.networks.landmark_network import SIDE
from tracker.runtime.engine_config import EngineConfig
from tracker.synth.samples import AssetFolder, Sample, SampleConfig, SampleFactory

RESULTS = Path(__file__).parent / "results" / "volume.json"
PATCHES = (40, 80)
"""px of a 224 px crop."""
_REFERENCE_SIDE = 224
_HELD_OUT = SampleConfig(split="held_out", seed=3, occluded=0.0, webcam=0.1, outfits=16, backgrounds=40, rigged=0.0)
_STEPS_FROM_HEAD = 10
"""A regressed pose is farther off, and less is known of how, than one that was fitted to landmarks."""
_WHOLE = Region(np.full(2, SIDE / 2), float(SIDE), 0.0)
_PCK, _HEAD_LENGTHS = 0.5, 1.7
"""PCKh's share of the head's length, and that length over the distance from neck to head joint."""


@dataclass(frozen=True)
class PoseErrors:
    """One person's, by one method."""

    mpjpe: float
    """mm, pelvis-aligned, over 24 joints."""
    pa_mpjpe: float
    pve: float
    """mm, pelvis-aligned, over all vertices."""
    pckh: float
    """Percent of the joints within half a head length in the picture."""


class SampleJudge:
    """Compares poses with one held-out sample's truth."""

    def __init__(self, body: BodyModel, rig: LandmarkRig, sample: Sample) -> None:
        k = sample.camera_matrix
        self.sample, self.camera = sample, Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], SIDE, SIDE)
        self._body, self._rig = body, rig
        self._vertices = self._surface(BodyState.from_pose(pose_of(sample)))
        head = np.linalg.norm(sample.joints2d[smpl_index("head")] - sample.joints2d[smpl_index("neck")])
        self._head = np.array([_HEAD_LENGTHS * max(float(head), 1.0)])

    def mpjpe(self, state: BodyState) -> float:
        """mm."""
        return float(relative_errors(*self._joints(state), *self._roots(state)).mean())

    def errors(self, state: BodyState) -> PoseErrors:
        estimate, true = self._joints(state)
        flat = keypoint_distances(self.camera.project(estimate), self.sample.joints2d[None], self._head)
        surface = relative_errors(self._surface(state)[None], self._vertices[None], *self._roots(state))
        pckh = 100 * float((flat < _PCK).mean())
        return PoseErrors(self.mpjpe(state), float(aligned_errors(estimate, true).mean()), float(surface.mean()), pckh)

    def _joints(self, state: BodyState) -> tuple[Array, Array]:
        posed = self._rig.pose(state.rotations, state.betas).joints + state.transl
        return posed[None], self.sample.joints3d[None]

    def _roots(self, state: BodyState) -> tuple[Array, Array]:
        estimate, true = self._joints(state)
        return estimate[:, 0], true[:, 0]

    def _surface(self, state: BodyState) -> Array:
        """(V, 3) m."""
        pose = state.to_pose()
        theta, betas = (torch.from_numpy(v).float() for v in (pose.theta, pose.betas))
        vertices: Array = self._body.with_shape(betas).with_pose(theta).vertices().double().numpy() + pose.transl
        return vertices


@dataclass(frozen=True)
class Start:
    """What is known of a crop before the volume is asked."""

    features: CropFeatures
    landmarks: LandmarkFit
    both: LandmarkFit
    """Of the landmarks and the head's rotations."""
    closely: LandmarkFit
    """The same, nearer to the head's."""


class Methods:
    """Everything that is compared, on one crop."""

    def __init__(self, model: FeatureModel, rig: LandmarkRig, config: VolumeFitConfig) -> None:
        self._rig, network = rig, model.network
        self._follower = NetworkFollower(EngineConfig(threads=2), landmarks_and_maps(landmark_network_file()))
        self._extractor = FeatureExtractor(model, rig, EngineConfig(threads=2))
        self._volume = VolumeFitter(network, config)
        self._patient = VolumeFitter(network, replace(config, steps=max(config.steps, _STEPS_FROM_HEAD)))
        self._fitter = LandmarkFitter(rig, JointPrior.anatomical(), FitConfig(), PosePrior.load())
        shape = ShapeMemory.of_height(Stature.of(load_body(None)), None)
        self._stranger = Belief(shape.betas, shape.precision)

    def __call__(self, image: NDArray[np.uint8], camera: Camera) -> dict[str, BodyState]:
        """image: (256, 256, 3) RGB, the crop."""
        start = self.start(image, camera)
        around = {
            "head": PoseBelief.around(start.features.regressed, self._volume.config),
            "landmark fit": self._held(start.landmarks),
            "head and landmark fit": self._held(start.both),
        }
        states = {"mean pose": _mean_pose(start.landmarks.state.transl)}
        observed = self._volume.observed(start.features.features)
        around["whichever the picture shows"] = self._shown(observed, start, around)
        for name, belief in around.items():
            states[name] = belief.state
            volume = self._patient if name == "head" else self._volume
            states[f"{name} + volume"] = volume.fit(observed, start.features.map_camera, belief).state
        return states

    def _held(self, fit: LandmarkFit) -> PoseBelief:
        """As the tracker does it: of a fixed size."""
        return PoseBelief(fit.state, fit.precision).holding_size(self._volume.config.size_hold)

    def _shown(self, observed: FeatureObservation, start: Start, around: dict[str, PoseBelief]) -> PoseBelief:
        """Landmarks and head, nearer to these or to that: the tracker's own start."""
        beliefs = [around["head and landmark fit"], self._held(start.closely)]
        nll = self._volume.score(observed, start.features.map_camera, [each.state for each in beliefs])
        return beliefs[int(np.argmin(nll))]

    def start(self, image: NDArray[np.uint8], camera: Camera) -> Start:
        """Everything before the volume."""
        (followed,) = self._follower.follow(image, [_WHOLE])
        (features,), reading = self._extractor.extract([followed.crop], camera), followed.reading
        observation = LandmarkObservation(camera, reading.landmarks2d, reading.landmarks3d, reading.visibility)
        belief = self._stranger
        iterations = self._fitter.config.first_iterations
        landmarks = self._fitter.fit(
            observation, belief, initial_state(self._rig, observation, belief.betas), iterations
        )
        both, closely = (
            self._fitter.fit(
                observation,
                replace(belief, regressed=Regressed(features.regressed.rotations, spread)),
                features.regressed,
                iterations,
            )
            for spread in (self._fitter.config.regressed_spread, self._fitter.config.regressed_closely)
        )
        return Start(features, landmarks, both, closely)


def _mean_pose(transl: Array) -> BodyState:
    """Somebody who stands with hanging arms and looks at the camera: what knowing nothing but the place costs."""
    theta = np.zeros((NUM_JOINTS, 3))
    theta[0, 0] = np.pi
    theta[smpl_index("left_shoulder"), 2], theta[smpl_index("right_shoulder"), 2] = -1.2, 1.2
    return BodyState.from_pose(Pose(theta[0], theta[1:].reshape(-1), np.zeros(NUM_BETAS), transl))


def pose_of(sample: Sample) -> Pose:
    theta = np.asarray(sample.theta, float).reshape(NUM_JOINTS, 3)
    return Pose(theta[0], theta[1:].reshape(-1), np.asarray(sample.betas, float), np.asarray(sample.transl, float))


@dataclass(frozen=True)
class VolumeScene:
    """People, and how they are read and compared."""

    judges: Sequence[SampleJudge]
    methods: Methods

    def clean(self) -> list[dict[str, PoseErrors]]:
        return [self._judged(judge, judge.sample.image) for judge in tqdm(self.judges, desc="clean", disable=None)]

    def random(self, patch: int) -> list[dict[str, PoseErrors]]:
        """A patch of this size, its middle anywhere on the person."""
        numbered = enumerate(tqdm(self.judges, desc=f"{patch} px", disable=None))
        return [self._judged(judge, behind_patch(judge.sample, patch, number)) for number, judge in numbered]

    def worst(self, patch: int, stride: int, people: int) -> list[dict[str, PoseErrors]]:
        """A patch where it harms each method most, as a window finds it that slides over the crop."""
        worst_errors = []
        for number, judge in enumerate(tqdm(self.judges[:people], desc=f"worst {patch} px", disable=None)):
            worst: dict[str, tuple[float, BodyState]] = {}
            for middle in _window(patch, stride):
                rng = np.random.default_rng([patch, number, *middle.astype(int)])
                image = _patched(judge.sample.image, middle, patch, rng)
                for name, state in self.methods(image, judge.camera).items():
                    error = judge.mpjpe(state)
                    if name not in worst or error > worst[name][0]:
                        worst[name] = error, state
            worst_errors.append({name: judge.errors(state) for name, (_, state) in worst.items()})
        return worst_errors

    def _judged(self, judge: SampleJudge, image: NDArray[np.uint8]) -> dict[str, PoseErrors]:
        states = self.methods(image, judge.camera)
        return {name: judge.errors(state) for name, state in states.items()}


def behind_patch(sample: Sample, patch: int, seed: int) -> NDArray[np.uint8]:
    """The sample's picture with a patch of this size, its middle anywhere on the person."""
    rng = np.random.default_rng([patch, seed])
    rows, columns = np.nonzero(sample.parts_amodal)
    at = rng.integers(len(rows)) if len(rows) else 0
    middle = np.array([columns[at], rows[at]]) if len(rows) else np.full(2, SIDE // 2)
    return _patched(sample.image, middle, patch, rng)


def _window(patch: int, stride: int) -> Iterator[Array]:
    """Middles (2,) px of the crop."""
    starts = np.arange(0, _REFERENCE_SIDE - patch + 1, stride)
    for y in starts:
        for x in starts:
            yield (np.array([x, y]) + patch / 2) * SIDE / _REFERENCE_SIDE


def _patched(image: NDArray[np.uint8], middle: Array, patch: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    half = patch / 2 * SIDE / _REFERENCE_SIDE
    outline = middle + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return painted(image, polygon_mask((SIDE, SIDE), outline), Textures(), rng)


def held_out_people(count: int, motion: Path | None, assets: Path | None, rigged: float = 0.0) -> Iterator[Sample]:
    """Samples of shapes, looks and clips that training never sees; rigged: share of whole rigged people."""
    library = None if motion is None else MotionLibrary.open(motion).split()[1]
    folder = None if assets is None else AssetFolder.open(assets)
    config = replace(_HELD_OUT, rigged=rigged)
    factory = SampleFactory(config, load_body(None), PoseSampler(library), folder)
    for number in range(count):
        yield factory.sample(number)


def summary(rows: Sequence[dict[str, PoseErrors]]) -> dict[str, dict[str, float]]:
    """Means over the people, by method and name of the error."""
    return {
        method: {name: float(np.mean([asdict(row[method])[name] for row in rows])) for name in asdict(rows[0][method])}
        for method in rows[0]
    }


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: a row a method and condition."""
    lines = ["| | | MPJPE | PA-MPJPE | PVE | PCKh |", "|---|---|---:|---:|---:|---:|"]
    for condition, methods in results.items():
        for method, e in methods.items():
            numbers = f"{e['mpjpe']:.1f} | {e['pa_mpjpe']:.1f} | {e['pve']:.1f} | {e['pckh']:.1f}"
            lines.append(f"| {condition} | {method} | {numbers} |")
    return "\n".join(lines)


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=100, show_default=True)
@click.option("--rigged", default=0.0, show_default=True, help="Share of whole rigged people, out of ASSETS/avatars.")
@click.option("--worst", type=click.IntRange(0), default=8, show_default=True, help="People for the sliding window.")
@click.option("--stride", type=click.IntRange(1), default=36, show_default=True, help="Of the window, px of 224.")
@click.option("--steps", type=click.IntRange(0), help="Of the volume's fit.")
@click.option("--likelihood-weight", type=float, help="Of the volume's fit.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(
    weights: Path, motion: Path | None, assets: Path | None, people: int, rigged: float, worst: int,
    stride: int, steps: int | None, likelihood_weight: float | None, out: Path,
) -> None:  # fmt: skip
    """Compare head, landmark fit and volume fit on held-out synthetic people."""
    config = VolumeFitConfig()
    config = config if steps is None else replace(config, steps=steps)
    config = config if likelihood_weight is None else replace(config, likelihood_weight=likelihood_weight)
    body = load_body(None)
    rig, network = LandmarkRig.from_body(body), BodyNetwork.load(weights, body)
    torch.set_num_threads(1)
    samples = tqdm(held_out_people(people, motion, assets, rigged), total=people)
    judges = [SampleJudge(body, rig, sample) for sample in samples]
    scene = VolumeScene(judges, Methods(FeatureModel(network, weights), rig, config))
    results = {"clean": summary(scene.clean())}
    results |= {f"{patch} px, random": summary(scene.random(patch)) for patch in PATCHES}
    if worst:
        results |= {f"{patch} px, worst": summary(scene.worst(patch, stride, worst)) for patch in PATCHES}
    click.echo(table(results))
    run = {
        "people": people,
        "rigged": rigged,
        "worst": worst,
        "stride": stride,
        "fit": asdict(config),
        "weights": weights.name,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"run": run, "errors": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
