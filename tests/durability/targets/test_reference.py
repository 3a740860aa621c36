import zlib
from pathlib import Path

from durability.targets.item import name_of
from durability.targets.reference import Names
from durability.trace import trace as traces
from durability.trace.records import Open, Rename, Unlink
from tests.durability.commands import durability


def test_the_stream_that_is_explored_has_segments_snapshots_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    done = durability("trace", "reference", "-o", str(path), cwd=str(tmp_path))
    assert done.status == 0, done.stdout
    trace = traces.load(str(path))
    created = [
        record.path
        for record in trace.records
        if isinstance(record, Open) and record.created and record.path.endswith(b".segment")
    ]
    snapshots = [
        record
        for record in trace.records
        if isinstance(record, Rename) and record.destination == b"snapshot"
    ]
    compacted = [
        record
        for record in trace.records
        if isinstance(record, Unlink) and record.path.endswith(b".segment")
    ]
    lines = list(trace.lines())
    assert len(created) >= 3
    assert snapshots
    assert compacted
    assert trace.stream_bytes() >= 4096
    assert done.document["bytes"] == trace.stream_bytes()
    assert done.document["acks"] == sum(line.startswith("ack ") for line in lines) > 100
    assert done.document["untraceable"] == []
    assert lines[0] == "bootstrapped"
    votes = [line for line in lines if line.startswith("vote ")]
    assert len(votes) >= 2, "a restart elects itself again"


def test_a_name_tells_every_content_from_every_other() -> None:
    command = b"00000017" + bytes(range(200))
    assert name_of(command) == f"17.208.{zlib.crc32(command):08x}"
    assert name_of(command[:-1]) != name_of(command)
    assert name_of(command[:100] + b"!" + command[101:]) != name_of(command)


def test_the_state_machine_survives_its_own_snapshot() -> None:
    machine = Names()
    machine.apply(3, b"00000001one")
    machine.apply(4, b"00000002two")
    restored = Names()
    restored.restore(iter(machine.snapshot()))
    assert restored.names == machine.names
    assert len(restored.names) == 2
