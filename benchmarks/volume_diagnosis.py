"""Which stage is at fault where the volume is asked: oracles on held-out synthetic people.

    python -m benchmarks.volume_diagnosis --motion FOLDER --assets FOLDER

Everything is paired over the same people, in the clear and behind patches of 40 and 80 px (of a 224 px crop):

- truth wins: how many have a lower negative log-likelihood in their true pose than in the landmark fit, and the head's;
- belief: δᵀPδ of the true rotations under the landmark fit's precision, β and place marginalised; 72 where calibrated;
- fit: by how much 30 renderings change MPJPE, from the landmark fit (size held) and from the head, on the features as
  they are, on clean features outside the patch with clutter inside, and on ideal ones (the volume's own rendering);
- kernels: on the rest body, from the kernel that a visible pixel looks like to the one that is there;
- leak: cosine of a visible pixel's feature with and without the patch, near (≤ 8 map pixels) and far (> 16);
- hidden pixels that count as visible: of those where the body lies behind the patch;
- flips: nats by which turning one plainly seen limb over in depth harms the likelihood, and how often it does.

Writes benchmarks/results/volume_diagnosis.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from tqdm import tqdm

from benchmarks.volume import PATCHES, Methods, SampleJudge, behind_patch, held_out_people, pose_of
from kernels import body_step, ellipsoids
from kernels.ellipsoids_values import Ellipsoids
from tracker.body import load_body
from tracker.body.body_state import BodyState
from tracker.body.kinematics import LandmarkRig
from tracker.core.arrays import Array
from tracker.core.geometry import axis_angle_from_matrix
from tracker.extract.feature_extractor import WEIGHTS
from tracker.extract.feature_network import FeatureModel
from tracker.fit.volume_fitter import PoseBelief, VolumeFitConfig, VolumeFitter
from tracker.networks.body_network import BodyNetwork
from tracker.networks.guide import MAP, LandmarkGuide
from tracker.synth.samples import Sample
from tracker.training.depth_flip import SEGMENTS, local_rotations, towards_camera, turned_over

RESULTS = Path(__file__).parent / "results" / "volume_diagnosis.json"
_MAP_PIXELS = slice(2, None, 4)
_NEAR, _FAR = 8, 16
"""Map pixels from the patch."""
_RENDERINGS = 30
_PLAIN = 0.6
"""Share of a limb's pixels that must be visible for its flip to be judged."""
_FORESHORTENED = 0.35
"""Cosine of limb and line of sight from which a flip is worth telling (20°)."""

Row = dict[str, float]


class VolumeOracles:
    """Held-out people, and what each stage does with ideal input."""

    def __init__(self, weights: Path, samples: list[Sample], config: VolumeFitConfig) -> None:
        body = load_body(None)
        rig = LandmarkRig.from_body(body)
        self.samples = samples
        self._rig = rig
        self._network = BodyNetwork.load(weights, body)
        self._config = replace(config, steps=_RENDERINGS)
        self._fitter = VolumeFitter(self._network, self._config)
        self._methods = Methods(FeatureModel(self._network, weights), rig, self._config)
        self._guide = LandmarkGuide(2)
        self._judges = [SampleJudge(body, rig, sample) for sample in samples]
        self._bank = self._network.unit_bank().detach()
        self._clutter = self._network.unit_clutter().detach()
        self._clean = [self._features(sample.image) for sample in samples]

    def row(self, number: int, patch: int) -> Row:
        """All figures of one person behind a patch of so many px; 0: in the clear."""
        sample, judge = self.samples[number], self._judges[number]
        image = behind_patch(sample, patch, number) if patch else sample.image
        hidden = (image != sample.image).any(-1)[_MAP_PIXELS, _MAP_PIXELS]
        truth = BodyState.from_pose(pose_of(sample))
        start = self._methods.start(image, judge.camera)
        camera, real = start.features.map_camera, start.features.features
        index, covered = self._true_kernels(truth, camera)
        ideal = self._fitter.rendered(camera, truth)[None]
        maps = {
            "real": real,
            "clean": self._cluttered(self._clean[number], hidden, number),
            "ideal": self._cluttered(ideal, hidden | ~covered.numpy(), number),
        }
        landmark = PoseBelief(start.landmarks.state, start.landmarks.precision)
        beliefs = {
            "landmark fit": landmark.holding_size(self._config.size_hold),
            "head": PoseBelief.around(start.features.regressed, self._config),
        }
        row = {"belief of landmark fit": _charge(landmark, truth)}
        row |= self._wins(real, camera, truth, {name: each.state for name, each in beliefs.items()})
        row |= self._fits(judge, camera, maps, beliefs)
        visible = torch.from_numpy((sample.parts[_MAP_PIXELS, _MAP_PIXELS] > 0) & ~hidden)
        row |= self._kernels(real, index, visible & covered & (index >= 0))
        row |= self._flips(sample, real, camera, hidden)
        if patch:
            row |= self._leak(real, self._clean[number], visible.numpy(), hidden)
            row |= self._hidden(real, camera, truth, hidden)
        return row

    def _features(self, image: NDArray[np.uint8]) -> Tensor:
        """(1, 64, 64, D)."""
        maps = {name: torch.from_numpy(value)[None].float() for name, value in self._guide(image).items()}
        with torch.no_grad():
            extracted = self._network.extractor(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255, maps)
        return extracted.features.permute(0, 2, 3, 1).contiguous()

    def _cluttered(self, features: Tensor, where: NDArray[np.bool_], seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(len(self._clutter), (MAP, MAP), generator=generator)
        return torch.where(torch.from_numpy(where)[None, ..., None], self._clutter[drawn], features).contiguous()

    def _true_kernels(self, truth: BodyState, camera: Array) -> tuple[Tensor, Tensor]:
        """(64, 64) the kernel that weighs most, and where the body is."""
        pose = truth.to_pose()
        parameters = np.concatenate([pose.theta.reshape(-1), pose.betas, pose.transl])
        posed = body_step.pose(self._network.volume.body, torch.from_numpy(parameters).float()[None])
        count = self._network.volume.count
        blank = Ellipsoids(posed.points[:, :count].contiguous(), posed.precisions, torch.zeros(1, count, 8))
        cameras = torch.as_tensor(camera, dtype=torch.float32)[None]
        drawn = ellipsoids.render(blank, cameras, (MAP, MAP), kept=1)
        return drawn.index[0, ..., 0].long(), drawn.coverage[0] > 0.5

    def _costs(self, features: Tensor, camera: Array, states: list[BodyState]) -> Array:
        """nll as the fit weighs it."""
        costs: Array = self._fitter.score(self._fitter.observed(features), camera, states)
        return costs

    def _wins(self, features: Tensor, camera: Array, truth: BodyState, others: dict[str, BodyState]) -> Row:
        true, *costs = self._costs(features, camera, [truth, *others.values()])
        return {f"truth wins over {name} %": 100.0 * (true < cost) for name, cost in zip(others, costs, strict=True)}

    def _fits(self, judge: SampleJudge, camera: Array, maps: dict[str, Tensor], beliefs: dict[str, PoseBelief]) -> Row:
        row = {}
        for start, belief in beliefs.items():
            before = row[f"{start} mm"] = judge.mpjpe(belief.state)
            for name, features in maps.items():
                fitted = self._fitter.fit(self._fitter.observed(features), camera, belief)
                row[f"fit of {start}, {name} features, mm"] = judge.mpjpe(fitted.state) - before
        return row

    def _kernels(self, features: Tensor, index: Tensor, where: Tensor) -> Row:
        if not where.any():
            return {}
        best = (features[0][where] @ self._bank.flatten(0, 1).T).argmax(1) // self._bank.shape[1]
        centres = self._network.volume.body.points
        return {"kernels cm": 100 * float((centres[best] - centres[index[where]]).norm(dim=1).median())}

    def _flips(self, sample: Sample, features: Tensor, camera: Array, hidden: NDArray[np.bool_]) -> Row:
        """Of the limbs that are plainly seen and point towards the camera or away from it."""
        truth = BodyState.from_pose(pose_of(sample))
        posed = self._rig.pose(truth.rotations, truth.betas)
        joints = posed.joints + truth.transl
        parts = sample.parts[_MAP_PIXELS, _MAP_PIXELS]
        amodal = sample.parts_amodal[_MAP_PIXELS, _MAP_PIXELS]
        flipped = []
        for segment in SEGMENTS:
            of_limb = amodal == 1 + segment[0]
            plain = of_limb.any() and ((parts == 1 + segment[0]) & ~hidden).sum() >= _PLAIN * of_limb.sum()
            if abs(towards_camera(joints, segment)) < _FORESHORTENED or not plain:
                continue
            world = turned_over(posed.world_rotations, joints, segment)
            flipped.append(BodyState(local_rotations(world), truth.betas, truth.transl))
        if not flipped:
            return {}
        true, *costs = self._costs(features, camera, [truth, *flipped])
        nats = self._config.pixel_weight * (np.array(costs) - true)
        return {"flips nats": float(nats.mean()), "flips told %": 100.0 * float((nats > 0).mean())}

    def _leak(self, real: Tensor, clean: Tensor, visible: NDArray[np.bool_], hidden: NDArray[np.bool_]) -> Row:
        away = distance_transform_edt(~hidden)
        cosine = (real[0] * clean[0]).sum(-1).numpy()
        places = {"leak near": visible & (away <= _NEAR), "leak far": visible & (away > _FAR)}
        return {name: float(cosine[where].mean()) for name, where in places.items() if where.any()}

    def _hidden(self, features: Tensor, camera: Array, truth: BodyState, hidden: NDArray[np.bool_]) -> Row:
        fit = self._fitter.look(self._fitter.observed(features), camera, truth)
        step = self._config.stride
        _, covered = self._true_kernels(truth, camera)
        behind = (torch.from_numpy(hidden) & covered).numpy()[step // 2 :: step, step // 2 :: step]
        if not behind.any():
            return {}
        return {"hidden pixels that count as visible %": 100.0 * float((fit.occlusion[behind] < 0.5).mean())}


def _charge(belief: PoseBelief, truth: BodyState) -> float:
    """δᵀPδ of the true rotations, everything else marginalised."""
    turn = axis_angle_from_matrix(np.swapaxes(belief.state.rotations, -1, -2) @ truth.rotations).reshape(-1)
    p, r, o = belief.precision, slice(0, len(turn)), slice(len(turn), None)
    return float(turn @ (p[r, r] - p[r, o] @ np.linalg.solve(p[o, o], p[o, r])) @ turn)


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Mean, its standard error, median and count of every figure."""
    figures = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row[name] for row in rows if name in row])
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
        middle = float(np.median(values))
        figures[name] = {"mean": float(values.mean()), "error": error, "median": middle, "people": len(values)}
    return figures


@click.command()
@click.option("--weights", type=click.Path(path_type=Path), default=WEIGHTS, show_default=True)
@click.option("--motion", type=click.Path(path_type=Path, exists=True), help="Folder of motion clips.")
@click.option("--assets", type=click.Path(path_type=Path, exists=True), help="Folder of skins, clothes, light.")
@click.option("--people", type=click.IntRange(1), default=40, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(weights: Path, motion: Path | None, assets: Path | None, people: int, out: Path) -> None:
    """Oracles of the volume on held-out synthetic people."""
    torch.set_num_threads(2)
    samples = list(tqdm(held_out_people(people, motion, assets), total=people, desc="people", disable=None))
    oracles = VolumeOracles(weights, samples, VolumeFitConfig())
    results = {}
    for patch in (0, *PATCHES):
        name = f"{patch} px" if patch else "clean"
        numbers = tqdm(range(people), desc=name, disable=None)
        results[name] = summary([oracles.row(number, patch) for number in numbers])
        click.echo(name)
        for row, figures in results[name].items():
            mean, error, median = (figures[key] for key in ("mean", "error", "median"))
            click.echo(f"  {row:44s} {mean:9.2f} ± {error:6.2f}   median {median:9.2f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"people": people, "weights": weights.name, "figures": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
