"""What tracing costs: one intercepted call, natively, through a bare CONTINUE loop, and traced.

The program appends 64 bytes at a time and syncs every tenth time, on a RAM disk, with itself and
the supervisor on one CPU: the worst case for the overhead, since the calls themselves cost nothing.
The three ways are interleaved, and the best round of each counts. Also: how many runs of a trivial
function, each killed at a byte and compared with its trace, fit in a second.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from durability.targets.contract import Call
from durability.trace.filter import Filter
from durability.trace.kill_order import KillOrder
from durability.trace.notification import Listener
from durability.trace.spawn import Child, spawn
from durability.trace.supervisor import Supervisor

RECORD = b"x" * 64
RAM_DISK = "/dev/shm"  # noqa: S108 - it is meant, and made unique below


def append(path: str, writes: int) -> None:
    """Do the work and print how many us an operation took, as the program itself sees it."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if file < 1000:  # outside of the tree, or untraced: be notified all the same
        os.dup2(file, 1000)
        file = 1000
    began = time.perf_counter()
    for n in range(writes):
        os.write(file, RECORD)
        if n % 10 == 9:
            os.fdatasync(file)
    elapsed_s = time.perf_counter() - began
    os.write(1, b"%.3f\n" % (elapsed_s * 1e6 / (writes + writes // 10)))


def natively(directory: str, writes: int) -> float:
    """Let the program run by itself."""
    reader, writer = os.pipe()
    process = os.fork()
    if not process:
        os.dup2(writer, 1)
        append(os.path.join(directory, "native"), writes)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as output:
        took_us = float(output.read())
    os.waitpid(process, 0)
    return took_us


def by_continuing(directory: str, writes: int) -> float:
    """Be notified of each call, and let the kernel perform it: nothing could cost less."""
    program = Call(partial(append, os.path.join(directory, "continued"), writes))
    child, descriptor = spawn(program, Filter(standard_too=False))
    listener = Listener(descriptor)
    waiting = 2 + writes + writes // 10  # open, dup2, the writes and their syncs
    while waiting:
        if (call := listener.receive()) is not None:
            listener.let_run(call.id)
            waiting -= 1
    took_us = printed(child)
    os.close(descriptor)
    return took_us


def printed(child: Child) -> float:
    """Read what a child has printed when it has ended, and let go of it."""
    os.waitpid(child.process, 0)
    took_us = float(os.read(child.stdout, 100))
    child.close()
    return took_us


def traced(directory: str, writes: int) -> float:
    """Supervise it, keeping all data."""
    watched = tempfile.mkdtemp(dir=directory)
    target = Call(partial(append, os.path.join(watched, "file"), writes))
    run = Supervisor().run(target, watched)
    (line,) = run.trace.lines()
    return float(line)


def kills_per_second(directory: str, kills: int) -> float:
    """Kill a function that writes once, each time in a new directory, and compare."""
    supervisor = Supervisor()

    def write(path: str) -> None:
        os.write(os.open(path, os.O_WRONLY | os.O_CREAT), RECORD)

    began = time.perf_counter()
    for n in range(kills):
        watched = tempfile.mkdtemp(dir=directory)
        target = Call(partial(write, os.path.join(watched, "file")))
        if not supervisor.run(target, watched, KillOrder(1 + n % 64)).landed():
            raise SystemExit("a kill did not land")
    return kills / (time.perf_counter() - began)


def measure(directory: str, writes: int, rounds: int, kills: int) -> dict[str, float]:
    """Return the figures by name."""
    ways: dict[str, Callable[[str, int], float]] = {
        "native_us": natively,
        "continue_us": by_continuing,
        "traced_us": traced,
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            best[name] = min(best[name], way(directory, writes))
    ratio = best["traced_us"] / best["continue_us"]
    return {**best, "ratio": ratio, "kills_per_second": kills_per_second(directory, kills)}


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures there as one object")
    parser.add_argument("--writes", type=int, default=5000, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--directory", default=RAM_DISK, help="on which file system")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        figures = measure(directory, arguments.writes, arguments.rounds, arguments.kills)
    print(f"native                {figures['native_us']:8.2f} us an operation")
    print(f"bare CONTINUE loop    {figures['continue_us']:8.2f} us")
    print(
        f"traced, with all data {figures['traced_us']:8.2f} us, {figures['ratio']:.2f} times that"
    )
    print(f"kills                 {figures['kills_per_second']:8.0f} a second")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
