"""Compare the results in a folder with the truth: mean joint error of each person_NNN.npz that has a truth beside it.

    body-tracker demo --out out/demo
    python examples/05_evaluate_folder.py out/demo/demo_clip out/demo/truth.npz

The truth is an .npz with `joints3d` (T, 24, 3) m in the camera's frame and `timestamps` (T,) s. `body-tracker evaluate`
does much more: data sets, occlusion, several figures, pages to look at.
"""

import argparse

import numpy as np

from tracker import InputError, RunError, load_result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", help="folder of a run")
    parser.add_argument("truth", help="file with joints3d and timestamps")
    given = parser.parse_args()

    result = load_result(given.result)
    try:
        with np.load(given.truth, allow_pickle=False) as truth:
            joints, times = truth["joints3d"], truth["timestamps"]
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{given.truth}: expected an .npz with joints3d and timestamps ({error})")
    for person_id, person in result.people.items():
        rows = np.abs(times[None] - person.timestamps[:, None]).argmin(axis=1)
        off = (person.joints3d - person.joints3d[:, :1]) - (joints[rows] - joints[rows, :1])
        error = 1e3 * np.linalg.norm(off, axis=2).mean()
        print(f"person {person_id}: {error:.1f} mm over {len(rows)} frames, both seen from the pelvis")


if __name__ == "__main__":
    try:
        main()
    except (InputError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
