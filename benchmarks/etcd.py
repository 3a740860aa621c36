"""What tracing costs a real server: puts a second of etcd, by itself and under the tracer.

    python benchmarks/etcd.py --directory /dev/shm --directory /var/tmp --json etcd.json

One client puts keys one after the other over HTTP; server, client and supervisor share one CPU both
times. In each round both ways take a turn, the first one last in the next, so that a busy machine
slows both; what counts is the median of the rounds' ratios.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from durability.recovery import process
from durability.targets import cache, etcd
from durability.targets.etcd import Gateway
from durability.trace.supervisor import Supervisor

WARM_UP_PUTS = 50
LIMIT_S = 120.0


def put_many(puts: int, gateway: Gateway) -> None:
    """Put keys and print how many a second."""
    gateway.values()
    for number in range(WARM_UP_PUTS):
        gateway.put(b"%08d" % number, bytes(100))
    began = time.perf_counter()
    for number in range(puts):
        gateway.put(b"%08d" % number, bytes(100))
    os.write(1, b"%.1f\n" % (puts / (time.perf_counter() - began)))


def natively(server: str, puts: int, directory: str) -> float:
    """Let the server run by itself."""
    ended = process.run(etcd.served(server, partial(put_many, puts), directory), timeout_s=LIMIT_S)
    return float(ended.stdout)


def traced(server: str, puts: int, directory: str) -> float:
    """Supervise it, keeping all data."""
    service = etcd.served(server, partial(put_many, puts), directory)
    run = Supervisor().run(service, directory, deadline_s=LIMIT_S)
    (line,) = run.trace.lines()
    return float(line)


def measure(server: str, puts: int, rounds: int, base: str) -> dict[str, float]:
    """Return puts a second both ways, and their ratio: the median, the least and the greatest."""
    rates: dict[str, list[float]] = {"native": [], "traced": []}
    ways = [("native", natively), ("traced", traced)]
    for _ in range(rounds):
        for name, way in ways:
            with tempfile.TemporaryDirectory(dir=base) as directory:
                rates[name].append(way(server, puts, directory))
        ways.reverse()
    ratios = [after / before for before, after in zip(*rates.values(), strict=True)]
    return {
        "native": statistics.median(rates["native"]),
        "traced": statistics.median(rates["traced"]),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", action="append", help="where to make data directories")
    parser.add_argument("--version", default=etcd.PACKAGE.default_version)
    parser.add_argument("--puts", type=int, default=1000, help="in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE", help="write the figures there as one object")
    arguments = parser.parse_args()
    server = cache.server_of(etcd.PACKAGE, arguments.version)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = {}
    for base in arguments.directory or [tempfile.gettempdir()]:
        figures[base] = found = measure(server, arguments.puts, arguments.rounds, base)
        print(
            f"{base:<20} {found['native']:8.0f} puts/s natively, {found['traced']:8.0f} traced:"
            f" {found['ratio']:.2f} ({found['ratio_min']:.2f} to {found['ratio_max']:.2f})"
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
