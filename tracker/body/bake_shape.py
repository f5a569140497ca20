"""Which bodies the free body's shape space is made of, and the ten directions that span it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.types import NUM_BETAS, Array

_HEIGHT_MEAN, _HEIGHT_SPREAD = 0.37, 0.065
"""anny's height phenotype at which men are 1.76 ± 0.07 m tall, women 1.63 ± 0.07 m."""
_CHILD_UNIT = 2.0
"""β of the child directions at their root mean square over the children; adults have about 0."""


@dataclass(frozen=True)
class ShapeSpace:
    """vertices = template + directions @ β, with β of unit variance over the adults."""

    template: Array
    """(M, 3) m: the mean adult."""
    directions: Array
    """(M, 3, 10) m."""


def sample_adults(rng: np.random.Generator, count: int) -> dict[str, Array]:
    """Phenotypes of adults of 18 to 75 years, as many women as men."""
    return _sample(rng, rng.uniform(0.60, 0.92, count))


def sample_children(rng: np.random.Generator, count: int) -> dict[str, Array]:
    """Phenotypes of children of 2 to 13 years."""
    return _sample(rng, rng.uniform(0.03, 0.42, count))


def _sample(rng: np.random.Generator, age: Array) -> dict[str, Array]:
    count = len(age)
    return {
        "gender": np.clip(rng.integers(0, 2, count) + rng.normal(0.0, 0.12, count), 0.0, 1.0),
        "age": age,
        "muscle": rng.beta(3.0, 3.0, count),
        "weight": rng.beta(2.5, 2.8, count),
        "height": np.clip(rng.normal(_HEIGHT_MEAN, _HEIGHT_SPREAD, count), 0.0, 1.0),
        "proportions": rng.beta(3.0, 3.0, count),
        "cupsize": rng.beta(3.0, 3.0, count),
        "firmness": rng.beta(3.0, 3.0, count),
        **dict(zip(("african", "asian", "caucasian"), rng.dirichlet([1.0, 1.0, 1.0], count).T, strict=True)),
    }


def shape_space(adults: Array, children: Array, vertex_area: Array, adult_directions: int) -> ShapeSpace:
    """Principal components of the adults (S, M, 3), then of what they leave of the children.

    The first directions have one standard deviation of the adults as their unit, so that a normal prior on β is right
    for them; children need their own directions because a scaled-down adult has too small a head. Components are
    found in the norm that `vertex_area` (M,) gives: face and hands have many vertices and little surface.
    """
    template = adults.mean(axis=0)
    metric = np.repeat(np.sqrt(vertex_area / vertex_area.sum()), 3)
    adult = (adults - template).reshape(len(adults), -1) * metric
    child = (children - template).reshape(len(children), -1) * metric
    top = 3 * int(template[:, 1].argmax()) + 1
    adult_basis = _components(adult, adult_directions, top)
    child_basis = _components(child - child @ adult_basis @ adult_basis.T, NUM_BETAS - adult_directions, top)
    child_scores = child @ child_basis
    child_unit = np.sqrt((child_scores**2).mean(axis=0)) / _CHILD_UNIT * np.sign(child_scores.mean(axis=0))
    units = np.concatenate([(adult @ adult_basis).std(axis=0), child_unit])
    basis = np.concatenate([adult_basis, child_basis], axis=1) / metric[:, None]
    return ShapeSpace(template, (basis * units).reshape(*template.shape, NUM_BETAS))


def _components(samples: Array, count: int, top: int) -> Array:
    """(D, count) orthonormal directions of the largest second moments about zero; entry `top` grows along each."""
    moments, mixing = np.linalg.eigh(samples @ samples.T)
    largest = np.argsort(-moments)[:count]
    directions = samples.T @ mixing[:, largest] / np.sqrt(moments[largest])
    return directions * np.sign(directions[top])
