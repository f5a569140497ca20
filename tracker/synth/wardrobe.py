"""The cut of the clothes. The rest pose is SMPL's: arms along x, legs along −y, z to the front."""

from __future__ import annotations

import numpy as np

from tracker.core.arrays import Array
from tracker.synth.body_measures import Anatomy
from tracker.synth.tailor import Design, Drape, Field, hanging
from tracker.synth.texture import smoothstep


def shirt_hem(anatomy: Anatomy) -> float:
    """y of the lower edge of a shirt that is worn over the trousers."""
    return float(anatomy.joints["left_hip"][1]) + 0.01 * anatomy.leg_length


def shirt_field(anatomy: Anatomy, sleeve: float) -> Field:
    """A T-shirt: sleeves to the share `sleeve` of the upper arm, hem below the hips, a round neck."""
    j = anatomy.joints
    reach = j["left_shoulder"][0] + sleeve * (j["left_elbow"][0] - j["left_shoulder"][0])
    neck, bottom = j["neck"] + np.array([0.0, 0.035, 0.025]), shirt_hem(anatomy)

    def inside(p: Array) -> Array:
        offset = p - neck
        depth = np.where(offset[:, 2] > 0, 0.078, 0.072)
        hole = np.linalg.norm(offset / np.stack([np.full(len(p), 0.078), np.full(len(p), 0.105), depth], 1), axis=1) - 1
        beside_head = np.where(offset[:, 1] > -0.03, np.minimum(np.abs(p[:, 0]) - 0.065, 0.012 - offset[:, 1]), np.inf)
        return np.minimum.reduce([reach - np.abs(p[:, 0]), p[:, 1] - bottom, 0.085 * hole, beside_head])

    return inside


def trouser_field(anatomy: Anatomy, length: float) -> Field:
    """Trousers to the share `length` of the way from knee to ankle; their top is hidden by the shirt."""
    knee, ankle, top = anatomy.joints["left_knee"], anatomy.joints["left_ankle"], shirt_hem(anatomy) + 0.10
    hem = knee[1] + length * (ankle[1] - knee[1])

    def inside(p: Array) -> Array:
        return np.minimum(top - p[:, 1], p[:, 1] - hem - 0.35 * np.maximum(p[:, 2] - ankle[2], 0.0))

    return inside


def shirt_design(anatomy: Anatomy, sleeve: float) -> Design:
    """A loose T-shirt."""
    waist = anatomy.joints["pelvis"][1]

    def thickness(p: Array) -> Array:
        return 0.010 + 0.008 * smoothstep(waist + 0.1, waist - 0.1, p[:, 1])

    return Design(shirt_field(anatomy, sleeve), thickness, torso_drape(anatomy), 12, 0.35, (0.10, 0.045, 0.10))


def trouser_design(anatomy: Anatomy, length: float) -> Design:
    """Straight trousers, thin where the shirt covers them."""
    hem = shirt_hem(anatomy)

    def thickness(p: Array) -> Array:
        return 0.002 + 0.009 * smoothstep(hem + 0.02, hem - 0.08, p[:, 1])

    return Design(trouser_field(anatomy, length), thickness, leg_drape(anatomy), 8, 0.3, (0.08, 0.05, 0.08))


def torso_drape(anatomy: Anatomy) -> Drape:
    """Hangs a shirt from chest and shoulder blades; sleeves and shoulders stay as they are."""
    spine = anatomy.joints["spine2"]
    chest = anatomy.joints["spine3"][1] + 0.02
    hang = hanging(spine, 0.12)

    def drape(places: Array) -> Array:
        torso = (places[:, 1] < chest) & (np.abs(places[:, 0]) < anatomy.joints["left_shoulder"][0] + 0.02)
        moved = places.copy()
        moved[torso] = hang(places[torso])
        share = smoothstep(chest, chest - 0.06, places[:, 1])[:, None]
        return places + (moved - places) * share

    return drape


def leg_drape(anatomy: Anatomy) -> Drape:
    """Lets trouser legs fall from the calf."""
    knee = anatomy.joints["left_knee"]
    ankle = anatomy.joints["left_ankle"]
    start = knee[1] + 0.02
    axis = (knee + ankle) / 2

    def drape(places: Array) -> Array:
        moved = places.copy()
        for sign in (1.0, -1.0):
            leg = (places[:, 1] < start) & (sign * places[:, 0] > 0)
            if leg.any():  # shorts end above
                moved[leg] = hanging(axis * np.array([sign, 1.0, 1.0]), 0.05)(places[leg])
        share = smoothstep(start, start - 0.08, places[:, 1])[:, None]
        return places + (moved - places) * share

    return drape
