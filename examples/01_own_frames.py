"""Track pictures that you have in hand: here OpenCV's, from a camera or a video, with the mesh drawn over them.

python examples/01_own_frames.py 0            # the first camera
python examples/01_own_frames.py video.mp4 --out drawn.mp4
"""

import argparse
import time

import cv2

from tracker import InputError, RunError, Tracker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="number of a camera, or a video file")
    parser.add_argument("--out", help="write the drawn pictures into this .mp4 instead of showing them")
    parser.add_argument("--frames", type=int, default=0, help="stop after so many; 0: never")
    given = parser.parse_args()

    live = given.source.isdigit()
    capture = cv2.VideoCapture(int(given.source) if live else given.source)
    if not capture.isOpened():
        parser.error(f"{given.source}: no camera or video that can be opened")
    rate = capture.get(cv2.CAP_PROP_FPS) or 30.0
    writer = None
    count = 0
    with Tracker.open() as tracker:
        while not given.frames or count < given.frames:
            ok, image = capture.read()  # BGR
            if not ok:
                break
            seconds = time.monotonic() if live else count / rate
            people = tracker.step(image, time=seconds, channels="bgr")
            for person in people:
                print(f"{seconds:8.3f} s  person {person.person_id}  pelvis at {person.pose.transl.round(2)} m")
            drawn = tracker.draw(image[..., ::-1], people)[..., ::-1]  # RGB there and back
            if given.out:
                size = (image.shape[1], image.shape[0])
                writer = writer or cv2.VideoWriter(given.out, cv2.VideoWriter_fourcc(*"mp4v"), rate, size)
                writer.write(drawn)
            else:
                cv2.imshow("tracked", drawn)
                if cv2.waitKey(1) & 0xFF == ord("q"):
                    break
            count += 1
    if writer is not None:
        writer.release()
    print(f"{count} frames")


if __name__ == "__main__":
    try:
        main()
    except (InputError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
