"""How long a proposal takes, against a bare write and fdatasync on the same disk.

One proposal at a time, from the call to `apply` returned, with a command of 64 bytes; the bare
series appends as many bytes as such a proposal's record to a file and syncs it. The series
alternate, so that whatever else the machine does meets all of them. With `--voters 3` the three
nodes are in this process, each in a thread, and the proposal is timed until the leader has applied
it. What that could cost at the least is a third series, `bare_majority`: as many threads write and
sync a file each, and the first is timed until it and a majority are done. It is more than one sync,
since one disk serves them all.

    python benchmarks/propose.py --voters 3 --json propose.json
"""

import argparse
import json
import tempfile
from pathlib import Path

from durability.scenarios.voters import measure, percentile


def figures(parent: str, voters: int, proposals: int) -> dict[str, float]:
    """Measure the series in a directory of their own."""
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        series = measure(directory, voters, proposals)
    found = {
        "propose_p50_us": percentile(series.propose_us, 50),
        "propose_p99_us": percentile(series.propose_us, 99),
        "bare_p50_us": percentile(series.one_us, 50),
        "ratio": series.ratio_to_one(50),
    }
    if voters > 1:
        found["bare_majority_p50_us"] = percentile(series.majority_us, 50)
        found["ratio_to_bare_majority"] = series.ratio(50)
    return {key: round(value, 2) for key, value in found.items()}


def main() -> None:
    """Measure on a disk and on a RAM disk."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--disk", metavar="DIRECTORY", default=tempfile.gettempdir())
    parser.add_argument("--ram", metavar="DIRECTORY", default="/dev/shm")  # noqa: S108 the RAM disk is meant
    parser.add_argument("--voters", type=int, default=1, help="nodes, all in this process")
    parser.add_argument("--proposals", type=int, default=2000, metavar="N", help="in each series")
    arguments = parser.parse_args()
    found = {
        name: figures(directory, arguments.voters, arguments.proposals)
        for name, directory in (("disk", arguments.disk), ("ram", arguments.ram))
    }
    for name, series in found.items():
        print(name, *(f"{key}={value}" for key, value in series.items()))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
