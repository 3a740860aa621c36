"""What the scripted leader makes the follower do: without it, a green result would say nothing."""

import re
from pathlib import Path

from durability.trace import trace as traces
from durability.trace.records import Rename, Truncate
from tests.durability.commands import durability


def test_it_votes_for_others_gives_up_entries_and_installs_snapshots(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    done = durability("trace", "reference-follower", "-o", str(path), cwd=str(tmp_path))
    assert done.status == 0, done.stdout
    assert done.document["acks"] > 50
    trace = traces.load(str(path))
    votes = [line for line in trace.lines() if re.fullmatch(r"vote \d+ [23]", line)]
    assert len(votes) >= 3
    snapshots = [
        record
        for record in trace.records
        if isinstance(record, Rename) and record.destination == b"snapshot"
    ]
    assert len(snapshots) >= 2
    assert any(isinstance(record, Truncate) and record.size > 0 for record in trace.records)
