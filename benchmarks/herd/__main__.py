"""Simulate a crowd of clients: what it does to an auth server, and to a server that comes back."""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.herd._crowd import Crowd, Differs
from benchmarks.herd._figures import measure, probe
from benchmarks.herd._plot import svg
from benchmarks.herd._tables import markdown


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    crowd = Crowd()
    parser = argparse.ArgumentParser(prog="benchmarks.herd", description=__doc__)
    add = parser.add_argument
    add("--clients", type=int, default=crowd.clients, help="how many (%(default)s)")
    add("--ttl", type=int, default=crowd.ttl, help="seconds that a token lives (%(default)s)")
    add("--window", type=int, default=crowd.window, help="all log in within so many seconds (60)")
    add("--lives", type=int, default=crowd.lives, help="tokens after the first (%(default)s)")
    add("--seed", type=int, default=crowd.seed, help="of all dice (%(default)s)")
    add("--processes", type=int, default=os.cpu_count(), help="one for each processor by default")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--plot", type=Path, metavar="FILE", help="write the plot there, as SVG")
    options = parser.parse_args(arguments)
    for name in ("clients", "ttl", "window", "lives", "processes"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run it all. The tables go to stdout."""
    options = _parse(arguments)
    crowd = Crowd(
        clients=options.clients,
        ttl=options.ttl,
        window=options.window,
        lives=options.lives,
        seed=options.seed,
    )
    try:
        with ProcessPoolExecutor(options.processes) as pool:
            figures = measure(crowd, pool, tell=partial(print, file=sys.stderr))
            figures["probe"] = probe(crowd, pool)
    except Differs as error:
        sys.exit(f"a whole session decides otherwise than its parts: {error}")
    print("\n".join(markdown(figures).values()), end="")
    if options.json is not None:
        options.json.write_text(json.dumps(figures) + "\n", "utf-8")
    if options.plot is not None:
        options.plot.write_text(svg(figures), "utf-8")


if __name__ == "__main__":
    main()
