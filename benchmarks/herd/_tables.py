"""Figures for people: the tables of the documentation, and of the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.herd._figures import Figures

__all__ = ["markdown", "number"]

_WAYS = {
    "reactive": "none, wait for the expiry",
    "fixed": "fixed, at 0.85 of the life",
    "jittered": "jittered, at 0.8 to 0.9 of the life (default)",
}
_CROWDS = {
    "short_tokens": "tokens of {ttl} s, logins in {window} s",
    "one_second": "tokens of {ttl:,} s, logins in {window} s",
}
_DELAYS = {
    "fixed": "always 5 s",
    "doubling": "1, 2, 4, 8, 16, 20 s",
    "jittered": "jittered (default)",
}


def number(value: float) -> str:
    """A figure as a person writes it."""
    return f"{value:,}"


def markdown(figures: Figures) -> dict[str, str]:
    """The tables, by name."""
    return {
        "peaks": _peaks(figures),
        "generations": _generations(figures),
        "variants": _variants(figures),
        "restart": _restart(figures),
    }


def _peaks(figures: Figures) -> str:
    rows = []
    for name, run in figures["auth"].items():
        rows.append([_WAYS[name], *_both(run["peak"])])
    return _table(["refresh ahead", "worst second", "worst 100 ms"], rows)


def _generations(figures: Figures) -> str:
    fixed = figures["auth"]["fixed"]["generations"]
    jittered = figures["auth"]["jittered"]["generations"]
    rows = []
    for generation, run in jittered.items():
        rows.append(
            [
                generation,
                f"{number(fixed[generation]['spread'])} s",
                *_both(fixed[generation]["peak"]),
                f"{number(run['spread'])} s",
                f"{number(run['spread_in_theory'])} s",
                *_both(run["peak"]),
            ]
        )
    head = ["token", "fixed: spread", "worst second", "worst 100 ms"]
    head += ["jitter: spread", "in theory", "worst second", "worst 100 ms"]
    return _table(head, rows)


def _variants(figures: Figures) -> str:
    rows = []
    for name, run in figures["variants"].items():
        crowd = _CROWDS[name].format(**run["crowd"])
        rows.append([crowd, *_both(run["fixed"]), *_both(run["jittered"])])
    head = ["crowd", "fixed: worst second", "worst 100 ms", "jitter: worst second", "worst 100 ms"]
    return _table(head, rows)


def _restart(figures: Figures) -> str:
    rows = []
    for outage, runs in figures["restart"].items():
        for name, run in runs.items():
            rows.append(
                [
                    f"{outage} s",
                    _DELAYS[name],
                    number(run["dials"]),
                    *_both(run["peak"]),
                    *_both(run["peak_when_up"]),
                    f"{number(run['half_back'])} s",
                    f"{number(run['all_back'])} s",
                ]
            )
    head = ["away for", "delay", "dials", "worst second", "worst 100 ms"]
    head += ["when up: worst second", "worst 100 ms", "half are back", "all are back"]
    return _table(head, rows)


def _both(peak: Figures) -> list[str]:
    return [number(peak["per_second"]), number(peak["per_100ms"])]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    # Figures are read by their last digit; what comes first is what they are about.
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))
