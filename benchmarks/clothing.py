"""What measured clothes are worth: silhouettes of body and clothed surface against the masks of frames that they were
not measured on.

Somebody's clothes are learned in the first half of a clip; in the second half, once a second, the two are drawn and
compared with the mask. Median intersection over union by clip, and the paired difference with its standard error.

python -m benchmarks.clothing CLIP…
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tracker.body.mannequin import mannequin
from tracker.body.skinner import dressed, skinner_of
from tracker.config import load_config
from tracker.core.arrays import Array
from tracker.core.frame import Frame
from tracker.core.mask import IN_MASK, PlacedMask
from tracker.core.person import Person
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Tracker
from tracker.runtime.process import prepare_for_real_time
from tracker.source import open_source


def measure(tracker: Tracker, clip: Path) -> Array:
    """(n, 2): intersection over union of the body and of the clothed surface, of people in the second half."""
    with open_source(str(clip)) as source, MeshOverlay() as overlay:
        tracker.look_through(source.info)
        middle = (source.expected_frames or 0) // 2
        every = max(1, round(float(source.info.rate or 25)))
        rows: list[list[float]] = []
        worn: dict[int, Array] = {}
        for frame in source:
            detected = tracker.extract(tracker.detect(frame))
            people = tracker.fit(detected)
            if frame.index < middle:
                worn |= {each.person_id: each.clothing for each in people if each.clothing is not None}
            elif (frame.index - middle) % every == 0:
                masks = {each.person_id: each.detection.mask for each in detected.people}
                pairs = ((each, masks.get(each.person_id)) for each in people if each.person_id in worn)
                known = [(each, mask) for each, mask in pairs if mask is not None and each.believed]
                rows += [list(_overlaps(tracker, overlay, frame, each, mask, worn)) for each, mask in known]
    tracker.restart()
    return np.array(rows).reshape(-1, 2)


def _overlaps(
    tracker: Tracker, overlay: MeshOverlay, frame: Frame, person: Person, mask: PlacedMask, worn: dict[int, Array]
) -> Iterator[float]:
    camera, skinner = tracker.cameras.for_size(*frame.size), skinner_of(mannequin(tracker.body))
    skin, silhouette = skinner.vertices(person.pose), mask.picture() >= IN_MASK
    for vertices in (skin, dressed(skin, skinner.faces, worn[person.person_id])):
        drawn = overlay.silhouette(camera, vertices, skinner.faces)
        yield float((drawn & silhouette).sum() / max((drawn | silhouette).sum(), 1))


def line(name: str, overlaps: Array) -> str:
    """Of a Markdown table."""
    if not len(overlaps):
        return f"| {name} | 0 | | | |"
    body, clothed = np.median(overlaps, axis=0)
    gain = overlaps[:, 1] - overlaps[:, 0]
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
    return f"| {name} | {len(overlaps)} | {body:.3f} | {clothed:.3f} | {gain.mean():+.3f} ± {error:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    given = parser.parse_args()
    config = load_config(changes={"smooth": {"mode": "offline"}, "clothed": True})
    print("| clip | people | body | clothed | gain |\n|---|---|---|---|---|")
    everything = []
    with Tracker.open(config) as tracker:
        prepare_for_real_time()
        for clip in given.clips:
            everything.append(measure(tracker, clip))
            print(line(clip.stem, everything[-1]), flush=True)
    print(line("all", np.concatenate(everything)))


if __name__ == "__main__":
    main()
