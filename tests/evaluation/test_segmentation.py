"""Label maps against hand-made scenes, and accuracy and F1 against counted pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tracker.body import load_body
from tracker.core.camera import Camera
from tracker.evaluation.segmentation import PART_OF_JOINT, PARTS, accuracy, confusion, f1_score, label_map, silhouette

CAMERA = Camera(100.0, 100.0, 20.0, 15.0, 40, 30)


def square(x: float, y: float, z: float, half: float) -> np.ndarray:
    """(4, 3) a square that faces the camera."""
    return np.array(
        [[x - half, y - half, z], [x - half, y + half, z], [x + half, y + half, z], [x + half, y - half, z]]
    )


FACES = np.array([[0, 1, 2], [0, 2, 3]])


def test_the_nearer_surface_wins_whatever_the_order() -> None:
    vertices = np.concatenate([square(0.0, 0.0, 1.0, 0.05), square(0.05, 0.0, 2.0, 0.2)])
    faces, labels = np.concatenate([FACES, FACES + 4]), np.array([1, 1, 2, 2], np.uint8)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        picture = label_map(CAMERA, vertices, faces[order], labels[order])
        assert picture[15, 20] == 1
        assert picture[15, 28] == 2
        assert picture[0, 0] == 0
        # 10 px of the near square; the far one is 20 px and reaches from 12.5 to 32.5
        assert (picture == 1).sum() == pytest.approx(100, abs=25)
        assert (picture > 0).sum() == pytest.approx(400, abs=45)


def test_a_surface_seen_from_behind_is_not_drawn() -> None:
    assert not label_map(CAMERA, square(0, 0, 1, 0.05), FACES[:, ::-1], np.ones(2, np.uint8)).any()


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    assert not label_map(CAMERA, square(0, 0, -1, 0.05), FACES, np.ones(2, np.uint8)).any()


def test_the_body_s_parts_are_where_they_belong() -> None:
    body = load_body()
    posed = body.with_shape(torch.zeros(10)).with_pose(torch.tensor([[math.pi, 0, 0], *[[0.0, 0, 0]] * 23]))
    # turned about x: it stands upright and looks at the camera, its left on the picture's right
    vertices = posed.vertices().numpy().astype(float) + np.array([0.0, 0.0, 3.0])
    joints = posed.joints.numpy().astype(float) + np.array([0.0, 0.0, 3.0])
    camera = Camera(200.0, 200.0, 100.0, 100.0, 200, 200)
    labels = PART_OF_JOINT[body.part_labels.numpy()][body.faces[:, 0].numpy()]
    picture = label_map(camera, vertices, body.faces.numpy(), labels)
    column, row = np.floor(camera.project(joints)).astype(int).T
    for joint, name in (
        (15, "head"),
        (6, "torso"),
        (18, "left arm"),
        (19, "right arm"),
        (4, "left leg"),
        (5, "right leg"),
    ):
        assert PARTS[picture[row[joint], column[joint]]] == name


def test_accuracy_and_f1_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [0, 0, 2, 9]], np.uint8)
    predicted = np.array([[0, 1, 1, 2], [0, 0, 2, 0]], np.uint8)
    counts = confusion(predicted, truth, truth != 9)
    assert counts.sum() == 7
    assert accuracy(counts) == pytest.approx(5 / 7)
    # background 2·3/(4 + 3), head 2·1/(2 + 2), torso 2·1/(1 + 2)
    assert f1_score(counts) == pytest.approx((6 / 7 + 2 / 4 + 2 / 3) / 3)
    both = silhouette(counts)
    assert both.tolist() == [[3, 1], [0, 3]]
    assert accuracy(both) == pytest.approx(6 / 7)


def test_nothing_has_no_score() -> None:
    empty = np.zeros((7, 7), np.int64)
    assert math.isnan(accuracy(empty))
    assert math.isnan(f1_score(empty))
