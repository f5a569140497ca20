"""Tracker: one frame in, the people in it out. No files, no threads, no clock: the frames carry the time."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from engines.engine import Precision
from tracker.body import FREE_BODY_NAME, BodyModel, load_body
from tracker.body.drawn_body import drawn_body
from tracker.body.joint_limits import JointPrior
from tracker.body.person_builder import PersonBuilder
from tracker.body.stature import Stature
from tracker.core.camera import CameraConfig
from tracker.core.detection import TrackedDetection
from tracker.core.errors import InputError, RunError, require_between, require_kind, require_number
from tracker.core.frame import Channels, Frame
from tracker.core.person import Person, TrackedFrame, require_people
from tracker.detect import DetectConfig, Detector, LandmarkDetector
from tracker.export.files_config import FilesConfig
from tracker.extract.feature_extractor import (
    OUTPUTS,
    CropFeatures,
    ExtractConfig,
    FeatureExtractor,
    kernel_vertices_file,
)
from tracker.extract.feature_network import FeatureModel
from tracker.extract.hands import HandReader
from tracker.extract.second_opinion import agreed
from tracker.extract.whole_network import WholeModel
from tracker.fit.clothing import ClothedMesh, Clothing, is_alone
from tracker.fit.landmark_fitter import FitConfig, LandmarkFitter
from tracker.fit.person_fitter import PersonFitter, ShapeMemory, TrackConfig
from tracker.fit.pose_prior import PosePrior
from tracker.fit.tracked_person import FitJudge, PoseFilter, TrackedPerson
from tracker.fit.trust import TrustConfig
from tracker.fit.volume_evidence import VolumeEvidence
from tracker.fit.volume_fitter import VolumeFitConfig, VolumeFitter
from tracker.identity import (
    BackwardDetector,
    Exchange,
    IdentityConfig,
    IdentityTracker,
    LookBack,
    LookBackLimits,
    SceneWatcher,
    SeenFrame,
)
from tracker.initialise.inverse_kinematics import InverseKinematics
from tracker.initialise.motion_predictor import MotionPredictor
from tracker.networks.body_network import BodyNetwork
from tracker.networks.crop_network import CropNetworks, landmarks_alone, landmarks_and_maps
from tracker.networks.released import SUFFIXES
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.overlay.renderers import raster_renderer
from tracker.runtime.engine_config import EngineConfig
from tracker.runtime.recent_times import RecentTimes
from tracker.smooth.delayed_smoother import DelayedSmoother, smoothed_with_delay
from tracker.smooth.filters import CausalFilter
from tracker.smooth.smooth_config import SmoothConfig
from tracker.source.source import SourceInfo
from tracker.world.world_config import WorldConfig

_log = logging.getLogger("tracker")


_HEIGHTS = (0.5, 2.5)
"""m"""


@dataclass(frozen=True)
class TrackerConfig:
    """Every stage's configuration; a YAML file holds the differences from these defaults."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    volume: VolumeFitConfig = field(default_factory=VolumeFitConfig)
    track: TrackConfig = field(default_factory=TrackConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    smooth: SmoothConfig = field(default_factory=SmoothConfig)
    world: WorldConfig = field(default_factory=WorldConfig)
    files: FilesConfig = field(default_factory=FilesConfig)
    coast_seconds: float = 0.4
    """A person whom the detector loses is carried forward by their motion for so long."""
    body: Path | None = None
    """A user's SMPL file; null is the built-in free body."""
    clothed: bool = False
    """Measure by the silhouettes how far clothes and hair stand out of the skin, which overlay, glb and scene then
    show."""
    height: float | None = None
    """m, of everybody who is tracked, barefoot: sizes and distances are then right where the focal length is; null is
    1.70, the mean of people, since landmarks do not tell who is tall."""

    def __post_init__(self) -> None:
        if self.height is not None:
            require_number("height", self.height)
        require_between(self, ("coast_seconds",), 0, math.inf)
        if self.height is not None and not _HEIGHTS[0] <= self.height <= _HEIGHTS[1]:
            raise InputError(f"--height {self.height:g}: expected metres between {_HEIGHTS[0]:g} and {_HEIGHTS[1]:g}")


STAGES = ("detect", "identify", "extract", "fit", "smooth")
_FORGET_SECONDS = 60.0
"""Somebody who has been away for so long would get a new identity."""


@dataclass(frozen=True)
class DetectedFrame(SeenFrame):
    """A frame, who was detected where in it, and the features of their crops."""

    features: Mapping[int, CropFeatures] = field(default_factory=dict)
    """Of each identity whose crop was given to the extractor."""


class Tracker:
    """People's SMPL pose, shape and place, frame after frame.

    >>> for frame, people in Tracker.open(TrackerConfig()).run("video.mp4"):
    ...     print(frame.time, [person.pose.transl for person in people])
    """

    def __init__(
        self, config: TrackerConfig, body: BodyModel, detector: Detector, network: BodyNetwork | None = None
    ) -> None:
        """network: extractor, head and volume; without it people are fitted to landmarks alone.

        Raises RunError when no engine runs the network.
        """
        self.config, self.body, self.detector, self.persons = config, body, detector, PersonBuilder(body)
        self._extractor: FeatureExtractor | None = None
        self._volume: VolumeFitter | None = None
        if network is not None:
            model = FeatureModel(network, config.extract.weights)
            self._extractor = FeatureExtractor(model, self.persons.rig, config.engine)
            if not config.engine.is_one_graph:
                self._extractor.open()
            self._volume = VolumeFitter(network, config.volume, config.engine.kernels_device)
        hands = config.detect.punctual if config.extract.hands is None else config.extract.hands
        self._hands = HandReader.open_if_here(config.engine, config.extract.hand_seconds) if hands else None
        self.cameras = config.camera
        """What is known of the camera: what the configuration says, else what the source knows (`look_through`)."""
        self.stage_seconds = {stage: RecentTimes() for stage in STAGES}
        self._fitter = LandmarkFitter(self.persons.rig, JointPrior.anatomical(), config.fit, PosePrior.load())
        self._judge = FitJudge(config.trust, config.fit.outlier, self.persons)
        self._predictor, self._kinematics = MotionPredictor.load(), InverseKinematics.load()
        # the fit's matrices are small: more threads only wait for each other
        self._blas = ThreadpoolController().select(user_api="blas")
        self._smoothing = config.smooth.mode == "causal"
        self._closed = False
        self._know_nobody()

    def _know_nobody(self) -> None:
        self._frames = 0
        self.identity = IdentityTracker(self.config.identity, self.config.detect.max_people)
        self._scenes = SceneWatcher()
        self._detected_scene = self._fitted_scene = 0
        self._detected_size = (0, 0)
        self._people: dict[int, TrackedPerson] = {}
        self._clothes: dict[int, Clothing] = {}

    def look_through(self, info: SourceInfo) -> None:
        """Takes the focal length that a source knows of, where the configuration says nothing about the camera."""
        self.cameras = self.config.camera.or_focal(info.focal)

    def restart(self) -> None:
        """Forgets everybody: the next frame is tracked as by a tracker that was just opened, which is much slower."""
        self.detector.forget()
        if self._hands is not None:
            self._hands.forget()
        self._know_nobody()
        for seconds in self.stage_seconds.values():
            seconds.clear()

    @property
    def engine(self) -> str:
        """What runs the landmark network, with its version, for the record."""
        return self.detector.engine

    @property
    def device(self) -> str:
        """What the landmark network runs on, for the record."""
        return self.detector.device

    @classmethod
    def open(cls, config: TrackerConfig | None = None, detector: Detector | None = None) -> Tracker:
        """A tracker with the body that the configuration names. The shipped networks' features are of the built-in body
        only: what they have learned belongs to its surface. 3DNBF's released checkpoint is of SMPL's.

        detector: finds the people, and is closed with the tracker; None is MediaPipe's networks. Raises InputError when
        a file that the configuration names is unusable or the detector is not installed, RunError when a network does
        not start.
        """
        config = config or TrackerConfig()
        require_kind("config", config, TrackerConfig)
        if detector is not None and not _is_detector(detector):
            raise InputError(f"detector: expected detect, forget and close, got {type(detector).__name__}")
        body = load_body(config.body)
        network = _body_network(config.extract, body)
        networks = crop_networks(config, network)
        return cls(config, body, detector or LandmarkDetector(config.detect, config.engine, networks), network)

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the detector and the networks; the tracker cannot be used afterwards."""
        self._closed = True
        self.detector.close()
        if self._extractor is not None:
            self._extractor.close()
        if self._hands is not None:
            self._hands.close()

    def run(self, spec: str | Path | int) -> Iterator[tuple[Frame, list[Person]]]:
        """Every frame of a source (see `open_source`) with its people, smoothed as the configuration says."""
        from tracker.source import open_source  # what reads video is loaded when there is one

        with open_source(spec) as source:
            self.look_through(source.info)
            smooth = self.config.smooth
            detected: Iterable[DetectedFrame] = map(self.detect, source)
            if smooth.mode == "offline":
                detected = self.look_back(detected)
            frames: Iterable[TrackedFrame] = (TrackedFrame(d.frame, self.fit(self.extract(d))) for d in detected)
            if smooth.mode == "offline":
                frames = smoothed_with_delay(frames, DelayedSmoother(self.persons, self.cameras, smooth.offline))
            for tracked in frames:
                yield tracked.frame, tracked.people

    def step(
        self, image: Frame | NDArray[np.uint8], time: float | None = None, channels: Channels = "rgb"
    ) -> list[Person]:
        """The people in a picture, by identity. Pictures come in the order of their time.

        image: a frame of a source, or one's own picture, (height, width, 3) uint8; then `time` is its time in s, from
        any clock, and `channels` says whether it is RGB or BGR. A time that goes back, as where a clock is set, and a
        picture of other proportions than the one before it begin anew, as a cut does: everybody has a new identity.
        Raises InputError for a picture of another kind and a time that is no finite number, RunError once it is closed.
        """
        if not isinstance(image, Frame):
            if time is None:
                raise InputError("step: a picture of one's own needs its time in seconds: tracker.step(image, time=t)")
            image = Frame.of(image, self._frames, time, channels)
        self._frames = image.index + 1
        return self.fit(self.extract(self.detect(image)))

    @property
    def faces(self) -> NDArray[np.int32]:
        """(F, 3): the triangles of `Person.vertices`, counter-clockwise seen from outside."""
        return self.persons.skinner.faces

    def draw(self, image: Frame | NDArray[np.uint8], people: Sequence[Person]) -> NDArray[np.uint8]:
        """The RGB picture with the people's meshes over it, (height, width, 3); the given one stays as it is. Raises
        InputError for other arguments."""
        people = require_people(people)
        picture = image.image if isinstance(image, Frame) else Frame.of(image, 0, 0.0).image
        height, width = picture.shape[:2]
        with MeshOverlay(make_renderer=partial(raster_renderer, self.config.engine.kernels_device)) as overlay:
            return overlay.draw(picture, self.cameras.for_size(width, height), people, drawn_body(self.body))

    def detect(self, frame: Frame) -> DetectedFrame:
        """The first third of a step: who is where in the frame. It depends on no other third, so that a thread may
        detect people in the next frame while others extract and fit those of this one."""
        if self._closed:
            raise RunError("the tracker is closed; open another one")
        clock = _StageClock(self.stage_seconds)
        scene = self._scenes.scene_of(frame)
        if scene != self._detected_scene or self._detected_size not in ((0, 0), frame.size):
            self.detector.forget()
            self.identity.enter(scene)
        self.identity.resize(frame.size)
        self._detected_scene, self._detected_size = scene, frame.size
        detections = self.detector.detect(frame, self.identity.predicted_boxes(frame.time))
        clock.lap("detect")
        tracked = self.identity.assign(frame, detections)
        clock.lap("identify")
        exchanges, nobodies = tuple(self.identity.exchanges), self.identity.nobodies
        return DetectedFrame(frame, tracked, scene, exchanges=exchanges, nobodies=nobodies)

    def look_back(self, detected: Iterable[DetectedFrame]) -> Iterator[DetectedFrame]:
        """The frames of a recording, a few seconds later, with everybody in them who is found by then; each must come
        right after `detect` has given it. Detectors that cannot follow anybody backwards leave them as they are."""
        seconds = self.config.identity.look_back
        if not isinstance(self.detector, BackwardDetector) or seconds == 0:
            return iter(detected)
        limits = LookBackLimits(seconds, self.config.detect.max_people, self.config.coast_seconds)
        looking: LookBack[DetectedFrame] = LookBack(self.detector, self.identity, limits)
        return looking.through(detected)

    def extract(self, detected: DetectedFrame) -> DetectedFrame:
        """The second third: the features of each person's crop, what a second landmark network sees there, and their
        hands; without those who are nobody. In the order of the frames, too."""
        detected = detected.without(detected.nobodies)
        clock = _StageClock(self.stage_seconds)
        camera = self.cameras.for_size(*detected.frame.size)
        features: Mapping[int, CropFeatures] = {}
        if self._extractor is not None:
            crops = {each.person_id: crop for each in detected.people if (crop := each.detection.crop) is not None}
            features = dict(zip(crops, self._extractor.extract(list(crops.values()), camera), strict=True))
        people = [_agreed(each, features.get(each.person_id)) for each in detected.people]
        if self._hands is not None:
            people = self._hands.read(detected.frame, people, camera)
        clock.lap("extract")
        return replace(detected, people=people, features=features)

    def fit(self, detected: DetectedFrame) -> list[Person]:
        """The last third: the people's poses, by identity. One call for each `detect`, in the same order."""
        clock = _StageClock(self.stage_seconds)
        frame = detected.frame
        camera = self.cameras.for_size(*frame.size)
        if detected.scene != self._fitted_scene:
            self._fitted_scene = detected.scene
            for known in self._people.values():
                known.forget_pose()
        for exchange in detected.exchanges:
            self._exchange(exchange)
        with self._blas.limit(limits=1):
            for each in detected.people:
                person, features = self._person(each.person_id), detected.features.get(each.person_id)
                person.fit(frame.time, camera, each.detection, self._evidence(features))
        clock.lap("fit")
        about = {key: person for key, person in self._people.items() if key not in detected.absent}
        estimates = {key: person.at(frame.time, self.config.coast_seconds) for key, person in about.items()}
        people = [
            self.persons.person(key, self._people[key].filtered(estimate), camera, estimate.confidence, estimate.nll)
            for key, estimate in sorted(estimates.items())
            if estimate is not None
        ]
        clock.lap("smooth")
        self._people = {k: p for k, p in self._people.items() if self._is_kept(p, frame.time)}
        return self._dressed(people, detected) if self.config.clothed else people

    @staticmethod
    def _is_kept(person: TrackedPerson, time: float) -> bool:
        """Also of nobody from before a time that went back is anything kept."""
        return 0.0 <= person.absent_seconds(time) <= _FORGET_SECONDS

    def _exchange(self, exchange: Exchange) -> None:
        """Two were followed under each other's identity: how they move goes with the body, not with the name."""
        first, second = self._people.get(exchange.first), self._people.get(exchange.second)
        if first is not None and second is not None:
            first.exchange_pose(second)
            return
        for person in (first, second):
            if person is not None:
                person.forget_pose()

    def _dressed(self, people: Sequence[Person], detected: DetectedFrame) -> list[Person]:
        """The people with what they wear, and what this frame shows of it taken into account."""
        camera, time = self.cameras.for_size(*detected.frame.size), detected.frame.time
        masks = {each.person_id: each.detection.mask for each in detected.people}
        mesh = ClothedMesh.of(self.body)
        self._clothes = {key: worn for key, worn in self._clothes.items() if key in self._people}
        for person in people:
            if person.person_id not in self._clothes:
                self._clothes[person.person_id] = Clothing(mesh)
            mask = masks.get(person.person_id)
            if mask is not None and person.believed and is_alone(person, people):
                self._clothes[person.person_id].look(time, camera, person.pose, mask, person.joint_confidence)
        return [replace(person, clothing=self._clothes[person.person_id].offsets) for person in people]

    def _person(self, person_id: int) -> TrackedPerson:
        if person_id not in self._people:
            shape = ShapeMemory.of_height(Stature.of(self.body), self.config.height)
            fitter = PersonFitter(self._fitter, self.config.track, self._predictor, self._kinematics, shape)
            self._people[person_id] = TrackedPerson(person_id, fitter, self._judge, self._pose_filter())
        return self._people[person_id]

    @property
    def smoothing(self) -> bool:
        """Whether `step` gives poses that are filtered over time."""
        return self._smoothing

    def switch_smoothing(self) -> None:
        """Begins or stops filtering; from the next frame on."""
        self._smoothing = not self._smoothing

    def _pose_filter(self) -> PoseFilter:
        causal = CausalFilter(self.config.smooth.causal)
        return lambda time, pose, confidence: causal(time, pose, confidence) if self._smoothing else pose

    def _evidence(self, features: CropFeatures | None) -> VolumeEvidence | None:
        if features is None or self._volume is None:
            return None
        return VolumeEvidence(self.persons.rig, self._volume, features)


def _is_detector(detector: object) -> bool:
    return all(callable(getattr(detector, name, None)) for name in ("detect", "forget", "close"))


def _agreed(person: TrackedDetection, features: CropFeatures | None) -> TrackedDetection:
    """As both landmark networks see them, where two have looked."""
    if features is None or features.second is None:
        return person
    return replace(person, detection=agreed(person.detection, features.second))


def _body_network(config: ExtractConfig, body: BodyModel) -> BodyNetwork | None:
    """None where people are fitted to landmarks alone. Raises InputError for unusable weights."""
    if not config.enabled:
        return None
    if config.weights.suffix in SUFFIXES:
        return BodyNetwork.load_released(config.weights, body, kernel_vertices_file(config))
    if body.name != FREE_BODY_NAME:
        _log.info("body %s: fitted to landmarks alone, since the networks here know the built-in body only", body.name)
        return None
    return BodyNetwork.load(config.weights, body)


def crop_networks(config: TrackerConfig, network: BodyNetwork | None) -> CropNetworks:
    """What sees people's crops for a tracker of this configuration, with or without the picture's networks."""
    if network is None:
        return landmarks_alone
    if not config.engine.is_one_graph:
        return landmarks_and_maps
    precision: Precision = "float16" if config.engine.precision == "float16" else "float32"
    model = FeatureModel(network, config.extract.weights)
    return WholeModel(model, OUTPUTS, several=config.engine.on_gpu, precision=precision).with_landmarks


class _StageClock:
    """Times the stages of one step; it measures, nothing depends on it."""

    def __init__(self, seconds: Mapping[str, RecentTimes]) -> None:
        self._seconds, self._last = seconds, perf_counter()

    def lap(self, stage: str) -> None:
        now = perf_counter()
        self._seconds[stage].append(now - self._last)
        self._last = now
