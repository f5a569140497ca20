"""Track several videos from Python and compare what was found in them; `body-tracker track A B C` writes the files.

python examples/03_several_videos.py a.mp4 b.mp4
"""

import argparse

import numpy as np

from tracker import InputError, Tracker, load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", help="video files or stream addresses")
    given = parser.parse_args()

    config = load_config("live", {"smooth": {"mode": "offline"}})  # both ways in time, as files want it
    for video in given.videos:
        # a fresh tracker for each: it remembers whom it has seen
        try:
            with Tracker.open(config) as tracker:
                frames = [(frame.time, people) for frame, people in tracker.run(video)]
        except InputError as error:
            print(f"{video}: left out: {error}")
            continue
        identities = {person.person_id for _, people in frames for person in people}
        confidence = [person.joint_confidence.mean() for _, people in frames for person in people]
        sure = f"{np.mean(confidence):.2f}" if confidence else "-"
        print(f"{video}: {len(frames)} frames, {len(identities)} people, mean confidence {sure}")


if __name__ == "__main__":
    main()
