"""Which bodies the free body's shape space is made of, and the ten directions that span it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.core.arrays import NUM_BETAS, Array

_HEIGHT_MEAN, _HEIGHT_SPREAD = 0.37, 0.065
"""anny's height phenotype at which men are 1.76 ± 0.07 m tall, women 1.63 ± 0.07 m."""
_MEAN_CHILD = 5.0
"""β along the direction of children at the mean child, who is seven years old; adults have about 0.

So large that a unit of it is about 12 cm of height, as much as an adult's standard deviation: a fit that pulls β
towards zero takes nobody for a child without good reason, and with one camera that would also halve the distance.
"""


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
    """Phenotypes of children of 3 to 13 years."""
    return _sample(rng, rng.uniform(0.08, 0.44, count))


def _sample(rng: np.random.Generator, age: Array) -> dict[str, Array]:
    count = len(age)
    return {
        "gender": np.clip(rng.integers(0, 2, count) + rng.normal(0.0, 0.12, count), 0.0, 1.0),
        "age": age,
        "muscle": rng.beta(2.5, 2.5, count),
        "weight": rng.beta(2.0, 1.1, count),
        "height": np.clip(rng.normal(_HEIGHT_MEAN, _HEIGHT_SPREAD, count), 0.0, 1.0),
        "proportions": rng.beta(3.0, 3.0, count),
        "cupsize": rng.beta(3.0, 3.0, count),
        "firmness": rng.beta(3.0, 3.0, count),
        **dict(zip(("african", "asian", "caucasian"), rng.dirichlet([1.0, 1.0, 1.0], count).T, strict=True)),
    }


def shape_space(adults: Array, children: Array, vertex_area: Array, adult_directions: int) -> ShapeSpace:
    """Principal components of the adults (S, M, 3), then what makes children.

    The first directions have one standard deviation of the adults as their unit, so that a normal prior on β is right
    for them. The next one leads straight to the mean child, because a scaled-down adult has too small a head; the rest
    are the principal components of what is then missing. All is found in the norm that `vertex_area` (M,) gives: face
    and hands have many vertices and little surface.
    """
    template = adults.mean(axis=0)
    metric = np.repeat(np.sqrt(vertex_area / vertex_area.sum()), 3)
    adult = (adults - template).reshape(len(adults), -1) * metric
    child = (children - template).reshape(len(children), -1) * metric
    top = 3 * int(template[:, 1].argmax()) + 1
    adult_basis = _components(adult, adult_directions, top)
    mean_child = child.mean(axis=0)[:, None]
    missing = child - _projected(child, np.concatenate([adult_basis, mean_child], axis=1))
    child_basis = _components(missing, NUM_BETAS - adult_directions - 1, top)
    directions = np.concatenate(
        [
            adult_basis * (adult @ adult_basis).std(axis=0),
            mean_child / _MEAN_CHILD,
            child_basis * _rms(child @ child_basis),
        ],
        axis=1,
    )
    return ShapeSpace(template, (directions / metric[:, None]).reshape(*template.shape, NUM_BETAS))


def _projected(samples: Array, basis: Array) -> Array:
    """What the basis (D, K), of any angles, explains of the samples (S, D)."""
    orthonormal, _ = np.linalg.qr(basis)
    return samples @ orthonormal @ orthonormal.T


def _rms(scores: Array) -> Array:
    return np.sqrt((scores**2).mean(axis=0))


def _components(samples: Array, count: int, top: int) -> Array:
    """(D, count) orthonormal directions of the largest second moments about zero; entry `top` grows along each."""
    moments, mixing = np.linalg.eigh(samples @ samples.T)
    largest = np.argsort(-moments)[:count]
    directions = samples.T @ mixing[:, largest] / np.sqrt(moments[largest])
    return directions * np.sign(directions[top])
