"""`python -m tests.simulation --seeds A:B` plays them; `--seed N` replays one, with its trace."""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation.runner import REPLAY, play_all, replay


def _seeds(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last))


def main() -> int:
    """Run the command; 0 if no seed has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seeds", type=_seeds, metavar="A:B", help="play A, A+1, ... B-1")
    what.add_argument("--seed", type=int, metavar="N", help="replay one, and print its trace")
    parser.add_argument("--jobs", type=int, metavar="J", help="in so many processes")
    options = parser.parse_args()
    if options.seed is not None:
        lines, failure = replay(options.seed)
        print(*lines, sep="\n")
        print(f"\n{failure}" if failure else f"\nseed {options.seed}: all is well")
        return 1 if failure else 0
    began_at = time.monotonic()
    report = play_all(options.seeds, jobs=options.jobs)
    for seed, text in sorted(report.failed.items()):
        print(text, f"\nto replay it: {REPLAY.format(seed=seed)}", file=sys.stderr)
    print(
        json.dumps(
            {
                "seeds": report.seeds,
                "failed": sorted(report.failed),
                "seconds": round(time.monotonic() - began_at, 1),
                "counts": dict(report.counts.most_common()),
            }
        )
    )
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
