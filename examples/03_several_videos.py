"""Track many videos from Python, several at once, and list what was found in them.

python examples/03_several_videos.py a.mp4 folder --out out
"""

import argparse

from tracker import InputError, RunError, TrackOptions, track_many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", help="videos, or folders of them")
    parser.add_argument("--out", default="out", help="folder of the results")
    given = parser.parse_args()

    # resume: what an earlier call has finished is left as it is; executor: any of concurrent.futures may be given
    for report in track_many(given.inputs, given.out, options=TrackOptions(overlay=False, resume=True)):
        if report.done:
            print(f"{report.spec}: {report.frames} frames, {report.people} people, {report.warnings} warnings")
        else:
            print(f"left out: {report.error}")


if __name__ == "__main__":
    try:
        main()
    except (InputError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
