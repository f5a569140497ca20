"""Read a result back: heights of both hands over time as a picture and a table, and one mesh as an .obj file.

body-tracker track video.mp4 --out out
python examples/02_load_and_plot.py out/video --out plots
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tracker import InputError, RunError, load_result

LEFT_WRIST, RIGHT_WRIST = 20, 21
WIDTH, HEIGHT = 900, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", help="folder of a run, such as out/video")
    parser.add_argument("--out", type=Path, default=Path("plots"), help="folder for what is made")
    given = parser.parse_args()

    result = load_result(given.result)
    given.out.mkdir(parents=True, exist_ok=True)
    for person_id, person in result.people.items():
        up = -person.joints3d[..., 1]  # the camera's y points down
        hands = up[:, [LEFT_WRIST, RIGHT_WRIST]] - up[:, :1]
        table = np.column_stack([person.timestamps, hands])
        name = given.out / f"person_{person_id:03d}"
        np.savetxt(f"{name}.csv", table, "%.4f", ",", header="seconds,left,right", comments="")
        plot(person.timestamps, hands).save(f"{name}.png")
        write_obj(Path(f"{name}.obj"), result.person(person_id, 0).vertices, result.faces)
        print(f"person {person_id}: {len(table)} frames → {name}.csv, .png, .obj")


def plot(times: np.ndarray, heights: np.ndarray) -> Image.Image:
    """Both hands against the pelvis, −1 to 1 m."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    x = (times - times[0]) / max(times[-1] - times[0], 1e-9) * (WIDTH - 1)
    for column, colour in enumerate(("#d2504b", "#3b6fb6")):
        y = (1 - heights[:, column].clip(-1, 1)) / 2 * (HEIGHT - 1)
        draw.line(list(zip(x, y, strict=True)), fill=colour, width=2)
    return image


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    lines = [*(f"v {x:.5f} {-y:.5f} {-z:.5f}" for x, y, z in vertices), *(f"f {a} {b} {c}" for a, b, c in faces + 1)]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (InputError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
