"""The v1 reader against directories that raft.cr wrote, and what it recovered from them."""

import contextlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durability.audit.cursor import MalformedError
from durability.audit.directory import audit_directory, read_directory
from durability.audit.raftcr import decode_raft_meta, decode_snapshot
from tests.durability.audit.v2_files import (
    CONFIGURATION,
    peer_list,
    u8,
    u32,
    u64,
    write,
)

RAFTCR = Path(__file__).parents[2] / "data" / "raftcr"
GOLDEN_META = json.loads((RAFTCR / "golden_vectors.json").read_text())["raft_meta"]
HELD = ["dir1_segments", "dir2_snapshot", "dir3_cluster_n1", "dir5_cluster_n3_installed"]
ROLES = ("voter", "learner")


def original(directory: str) -> dict[str, Any]:
    recovered: dict[str, Any] = json.loads((RAFTCR / f"{directory}.recover.json").read_text())
    return recovered


def triples(peers: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    return [(peer["id"], ROLES[peer["role"]], peer["address"]) for peer in peers]


@pytest.mark.parametrize("recovered", [False, True])
@pytest.mark.parametrize("directory", HELD)
def test_a_sound_directory_holds_and_gives_what_raftcr_recovered(
    directory: str, recovered: bool
) -> None:
    found = read_directory(str(RAFTCR / directory), recovered=recovered)
    audit = found.audit
    expected = original(directory)
    assert (audit.format, audit.verdict, audit.violations) == ("raft.cr v1", "held", [])
    assert audit.term == expected["current_term"]
    assert audit.voted_for == expected["voted_for"]
    assert audit.commit_index == expected["commit_index"]
    assert audit.first_index == expected["first_index"]
    assert audit.last_index == expected["last_index"]
    assert audit.last_term == expected["last_term"]
    assert audit.snapshot_index == expected["snapshot_index"]
    assert audit.snapshot_term == expected["snapshot_term"]
    assert [(peer.id, peer.role, peer.address) for peer in audit.peers] == triples(
        expected["peers"]
    )


@pytest.mark.parametrize("directory", HELD)
def test_the_entries_are_those_that_raftcr_recovered(directory: str) -> None:
    found = read_directory(str(RAFTCR / directory))
    expected = original(directory)["entries"]
    assert len(found.entries) == len(expected)
    for entry, other in zip(found.entries, expected, strict=True):
        assert (entry.index, entry.term) == (other["index"], other["term"])
        assert entry.type == other["entry_type"]
        if "config_data" in other:
            assert entry.payload.hex() == other["config_data"]
        elif other.get("data"):
            assert entry.payload[4:].decode() == other["data"]


@pytest.mark.parametrize("directory", ["dir2_snapshot", "dir3_cluster_n1"])
def test_the_snapshot_and_the_log_above_it_are_what_raftcr_applied(directory: str) -> None:
    """The application's state is each command it applied, as u32 length and text."""
    found = read_directory(str(RAFTCR / directory))
    assert found.snapshot is not None
    state = found.snapshot.state
    (count,) = struct.unpack_from("<I", state)
    texts = []
    offset = 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", state, offset)
        texts.append(state[offset + 4 : offset + 4 + size].decode())
        offset += 4 + size
    above = [entry for entry in found.entries if entry.index > found.snapshot.index]
    texts += [entry.payload[4:].decode() for entry in above if entry.payload]
    assert texts == original(directory)["applied"]


def test_a_committed_entry_that_is_torn_is_found() -> None:
    """The original cannot open it: 'No segment contains index 41'."""
    audit = audit_directory(str(RAFTCR / "dir7_torn_tail"))
    assert [violation.kind for violation in audit.violations] == ["commit-beyond-log"]
    assert "41" in audit.violations[0].message
    assert (audit.commit_index, audit.last_index, audit.tail) == (41, 40, "torn")
    assert any("offset 224" in note for note in audit.notes)
    assert any(note.startswith("raft_meta.tmp:") for note in audit.notes)
    recovered = audit_directory(str(RAFTCR / "dir7_torn_tail"), recovered=True)
    assert {violation.kind for violation in recovered.violations} == {
        "temporary-left",
        "unclean-tail",
        "commit-beyond-log",
    }


@pytest.mark.parametrize("vector", GOLDEN_META, ids=range(len(GOLDEN_META)))
def test_golden_metadata(vector: Mapping[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    meta = decode_raft_meta(data)
    assert meta.current_term == vector["current_term"]
    assert meta.commit_index == vector["commit_index"]
    assert meta.voted_for == vector["voted_for"]
    assert [(peer.id, peer.role, peer.address) for peer in meta.peers] == triples(vector["peers"])
    for size in range(len(data)):
        with pytest.raises(MalformedError) as caught:
            decode_raft_meta(data[:size])
        assert caught.value.cut
    with pytest.raises(MalformedError, match="1 more bytes follow"):
        decode_raft_meta(data + b"\0")


def meta(term: int = 2, commit_index: int = 0, vote: int | None = None) -> bytes:
    voted_for = u8(0) if vote is None else u8(1) + u64(vote)
    return u64(term) + u64(commit_index) + voted_for + peer_list(1)


def entry(index: int, term: int = 1, payload: bytes = b"", kind: int = 0) -> bytes:
    return u64(term) + u64(index) + u8(kind) + u32(len(payload)) + payload


def snapshot(index: int, term: int, peers: bytes = peer_list(1)) -> bytes:
    return u64(index) + u64(term) + u32(len(peers)) + peers + b"state"


def log(first_index: int) -> str:
    return f"{first_index:016d}.log"


@pytest.mark.parametrize(
    ("files", "kinds"),
    [
        ({"raft_meta": meta(), log(1): entry(1) + entry(2), log(3): entry(3)}, []),
        ({"raft_meta": meta(), log(1): entry(1), log(2): b""}, []),
        ({"raft_meta": meta(), "snapshot": snapshot(4, 1), log(5): b""}, []),
        ({"raft_meta": meta(), "snapshot": snapshot(4, 1), log(3): entry(3) + entry(4)}, []),
        ({"raft_meta": meta(), "snapshot": snapshot(4, 1), log(1): entry(1), log(5): entry(5)}, []),
        ({"raft_meta": meta(), "snapshot": snapshot(4, 2), log(1): entry(1)}, []),
        ({log(1): entry(1)}, ["corrupt"]),
        ({"raft_meta": meta()[:-1]}, ["corrupt"]),
        ({"raft_meta": meta()[:16] + b"\2" + peer_list(1)}, ["corrupt"]),
        ({"raft_meta": meta(), "snapshot": b"short"}, ["corrupt"]),
        ({"raft_meta": meta(), "snapshot": snapshot(2**64 - 1, 1)}, ["corrupt"]),
        ({"raft_meta": meta(), "snapshot": snapshot(4, 1, peer_list(1) + b"?")}, ["corrupt"]),
        ({"raft_meta": meta(), log(1): entry(1) + bytes(21)}, ["corrupt"]),
        ({"raft_meta": meta(), log(1): entry(1) + entry(3)}, ["corrupt"]),
        ({"raft_meta": meta(), log(1): entry(1, 2) + entry(2, 1)}, ["corrupt"]),
        ({"raft_meta": meta(), log(1): entry(1, kind=3)}, ["corrupt"]),
        ({"raft_meta": meta(), log(1): entry(1), log(3): entry(3)}, ["log-gap"]),
        ({"raft_meta": meta(), log(1): (entry(1) + entry(2))[:-1], log(3): entry(3)}, ["log-gap"]),
        ({"raft_meta": meta(), log(2): entry(2)}, ["log-gap"]),
        ({"raft_meta": meta(), log(1): entry(1) + entry(2), log(2): entry(2)}, ["log-gap"]),
        ({"raft_meta": meta(commit_index=2), log(1): entry(1)}, ["commit-beyond-log"]),
        (
            {"raft_meta": meta(), "snapshot": snapshot(1, 2), log(1): entry(1)},
            ["snapshot-mismatch"],
        ),
        ({"raft_meta": meta(1), log(1): entry(1, 2)}, ["term-beyond-metadata"]),
        ({"raft_meta": meta(0, vote=1)}, ["invalid-vote"]),
        (
            {"raft_meta": meta(), log(1): entry(1, payload=b"", kind=CONFIGURATION)},
            ["invalid-configuration"],
        ),
    ],
)
def test_each_rule_by_its_known_good_and_known_bad(
    tmp_path: Path, files: dict[str, bytes], kinds: list[str]
) -> None:
    audit = audit_directory(write(tmp_path, files))
    assert [violation.kind for violation in audit.violations] == kinds


def test_a_log_that_ends_below_the_snapshot_leaves_the_snapshots_index(tmp_path: Path) -> None:
    files = {"raft_meta": meta(commit_index=4), "snapshot": snapshot(4, 2), log(1): entry(1)}
    audit = audit_directory(write(tmp_path, files))
    assert (audit.verdict, audit.last_index, audit.last_term) == ("held", 4, 2)


def test_what_raftcr_writes_is_damaged_and_gets_a_verdict(tmp_path: Path) -> None:
    """Without checksums not every flip can be seen; none may be taken for another log."""
    files = {file.name: file.read_bytes() for file in (RAFTCR / "dir2_snapshot").iterdir()}
    path = write(tmp_path, files)
    good = read_directory(path)
    for name, data in files.items():
        for offset in range(len(data)):
            (tmp_path / name).write_bytes(
                data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]
            )
            found = read_directory(path)
            msgspec.json.encode(found.audit)
            if found.audit.verdict == "held" and found.audit.tail == "clean":
                assert len(found.entries) == len(good.entries)
        (tmp_path / name).write_bytes(data)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=120))
def test_any_bytes_decode_or_are_malformed(data: bytes) -> None:
    for decode in (decode_raft_meta, decode_snapshot):
        with contextlib.suppress(MalformedError):
            decode(data)


def test_a_count_allocates_nothing() -> None:
    with pytest.raises(MalformedError, match="ends inside a peer"):
        decode_raft_meta(u64(1) + u64(1) + u8(0) + u32(2**32 - 1))
