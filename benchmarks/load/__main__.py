"""Run one proof on loopback: a small table for people, and one line of JSON for programs."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from benchmarks.load._proofs import Figures, drain, expiry, idle, silent, slow
from benchmarks.load._serving import TooFewDescriptors

#: The exit status where the system does not let a process hold that many connections.
TOO_FEW_DESCRIPTORS = 3


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--runtime", choices=["asyncio", "trio"], default="asyncio")
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__)
    proofs = parser.add_subparsers(dest="proof", required=True)

    def add(name: str, sessions: int, help_: str, **options: float) -> None:
        proof = proofs.add_parser(name, help=help_, parents=[common])
        proof.add_argument("--sessions", type=int, default=sessions)
        for option, default in options.items():
            proof.add_argument(f"--{option}", type=type(default), default=default)

    add("idle", 10_000, "sessions stay up, and a message reaches them all", hold=20.0)
    add("expiry", 1000, "all tokens expire in the same second", lead=5.0)
    add("drain", 1000, "SIGTERM", lagging=20)
    add("slow", 50, "so many read everything, and as many nothing", flood=2048)
    add("silent", 200, "half a handshake, or no CONNECT")
    return parser.parse_args(arguments)


async def _run(options: argparse.Namespace) -> Figures:
    runtime, sessions = options.runtime, options.sessions
    match options.proof:
        case "idle":
            return await idle(runtime, sessions, options.hold)
        case "expiry":
            return await expiry(runtime, sessions, options.lead)
        case "drain":
            return await drain(runtime, sessions, options.lagging)
        case "slow":
            return await slow(runtime, sessions, options.flood)
    return await silent(runtime, sessions)


def main(arguments: list[str] | None = None) -> None:
    """Run one proof. Figures go to stdout as JSON, and to stderr for people."""
    options = _parse(arguments)
    try:
        figures = asyncio.run(_run(options))
    except TooFewDescriptors as error:
        print(error, file=sys.stderr)
        sys.exit(TOO_FEW_DESCRIPTORS)
    print(f"{options.proof} on {options.runtime}", file=sys.stderr)
    for name, value in figures.items():
        shown = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        print(f"  {name.replace('_', ' '):32} {shown:>12}", file=sys.stderr)
    print(json.dumps({"proof": options.proof, "runtime": options.runtime} | figures))


if __name__ == "__main__":
    main()
