"""`python -m tests.benchmarks [--quick] [--json FILE]`: our figures beside the peers', in one run on one bus.

Machines differ and are noisy: only ratios within a run count. Nothing is asserted but this: whoever loses or
doubles a fact is shown to, and if it is us, the run fails.
"""

import argparse
import asyncio
import os
import platform
import sys
import time
from pathlib import Path

import orjson
from rich.console import Console

from tests.benchmarks import failover, figures, gate, latency, publishing, reading
from tests.benchmarks.figures import Figure
from tests.benchmarks.stage import Stage, set_up

PARTS = ("gate", "publishing", "reading", "latency")
SLOW = ("failover",)
"""Measured only when asked for by name: it breaks a cluster of three brokers again and again."""

ROUNDS = 2
"""Each figure is the better of so many; --quick makes one."""


async def measure(stage: Stage, only: set[str], *, quick: bool, console: Console) -> list[Figure]:
    scale, rounds = (0.2, 1) if quick else (1.0, ROUNDS)
    found: list[list[Figure]] = []
    for number in range(rounds):
        if "publishing" in only:
            console.print(f"[dim]publishing, round {number + 1} of {rounds} …")
            found.append(await publishing.measure(stage, stage.city.take(), scale))
        if "reading" in only:
            console.print(f"[dim]reading, round {number + 1} of {rounds} …")
            found.append(await reading.measure(stage, stage.city.take(), scale))
    if "latency" in only:
        console.print("[dim]latency …")
        found.append(await latency.measure(stage, stage.city.take(), seconds=4 if quick else 12))
    return figures.best_of(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer events, one round: within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS + SLOW, default=PARTS, help="measure these parts only"
    )
    told = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    began = time.perf_counter()
    found = gate.measure(quick=told.quick) if "gate" in told.only else []
    if "failover" in told.only:
        found += asyncio.run(failover.measure(quick=told.quick))
    if set(told.only) & {"publishing", "reading", "latency"}:
        with set_up(pairs=2 * ROUNDS + 1) as stage:
            found += asyncio.run(measure(stage, set(told.only), quick=told.quick, console=console))
    figures.show(found, console)
    seconds = time.perf_counter() - began
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    console.print(f"{machine}; measured in {seconds:.0f} s. Only the ratios of one run can be compared.")
    if told.json is not None:
        report = {"machine": machine, "seconds": round(seconds, 1), "figures": figures.as_json(found)}
        told.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if wrong := [
        f.name
        for f in found
        if f.beside is None and f.balance and f.balance != figures.Balance(f.balance.sent, 0, 0)
    ]:
        sys.exit(f"Lost or doubled: {', '.join(wrong)}.")


if __name__ == "__main__":
    main()
