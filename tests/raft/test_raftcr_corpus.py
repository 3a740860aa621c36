"""What raft.cr wrote and how it judged bad input, against our codecs.

The original accepts more than we do: any version, type and role, any success byte, trailing bytes,
invalid UTF-8. Every difference is named here and counted, so that no test passes on nothing.
"""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from raft.errors import (
    DecodeError,
    InvalidFieldError,
    TrailingBytesError,
    UnsupportedVersionError,
)
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.peer import Peer, PeerRole, decode_peers, encode_peers

DATA = Path(__file__).parent.parent / "data" / "raftcr"


@cache
def golden(section: str) -> list[dict[str, Any]]:
    vectors: dict[str, list[dict[str, Any]]] = json.loads(
        (DATA / "golden_vectors.json").read_text()
    )
    return vectors[section]


def test_golden_messages() -> None:
    seen = Counter[str]()
    for vector in golden("messages"):
        encoded = bytes.fromhex(vector["hex"])
        if vector["protocol_version"] != 1:
            with pytest.raises(UnsupportedVersionError):
                Message.decode(encoded)
            seen["another version"] += 1
            continue
        message = Message(
            group_id=vector["group_id"],
            type=MessageType(vector["type"]),
            sender=vector["from"],
            term=vector["term"],
            prev_log_index=vector["prev_log_index"],
            prev_log_term=vector["prev_log_term"],
            commit_index=vector["commit_index"],
            last_log_index=vector["last_log_index"],
            last_log_term=vector["last_log_term"],
            success=vector["success"],
            reject_hint=vector["reject_hint"],
            entries_count=vector["entries_count"],
            data=bytes.fromhex(vector["entries_data"]),
        )
        assert Message.decode(encoded) == message
        assert message.encode() == encoded
        assert message.type.name.replace("_", "") == vector["type_name"].upper()
        seen["decoded"] += 1
    assert seen == {"decoded": 111, "another version": 18}


def test_golden_append_entries_carry_their_entries() -> None:
    carried = 0
    for vector in golden("messages"):
        if vector["protocol_version"] == 1 and vector["type"] == MessageType.APPEND_ENTRIES:
            message = Message.decode(bytes.fromhex(vector["hex"]))
            entries = message.entries()
            assert b"".join(entry.encode() for entry in entries) == message.data
            carried += len(entries)
    assert carried == 36


def test_golden_log_entries() -> None:
    seen = Counter[EntryType]()
    for vector in golden("log_entries"):
        encoded = bytes.fromhex(vector["hex"])
        entry = LogEntry.decode(encoded)
        assert (entry.term, entry.index, entry.type) == (
            vector["term"],
            vector["index"],
            vector["entry_type"],
        )
        if vector["data"] is None:  # no command: a peer list, or nothing at all
            assert entry.data == bytes.fromhex(vector["config_data"])
        else:
            assert entry.data == with_length(vector["data"].encode())
        assert len(encoded) == vector["bytesize"]
        assert entry.encode() == encoded
        seen[entry.type] += 1
    assert seen == {EntryType.NORMAL: 19, EntryType.CONFIGURATION: 19, EntryType.NOOP: 26}


def with_length(text: bytes) -> bytes:
    """Pack a command as the application that wrote these does: a u32 length, then the text."""
    return len(text).to_bytes(4, "little") + text


def peer_of(vector: dict[str, Any]) -> Peer:
    return Peer(vector["id"], PeerRole(vector["role"]), vector["address"])


def test_golden_peers() -> None:
    vectors = golden("peers")
    for vector in vectors:
        encoded = bytes.fromhex(vector["hex"])
        assert Peer.decode(encoded) == peer_of(vector)
        assert peer_of(vector).encode() == encoded
    assert len(vectors) == 31


def test_golden_peer_lists() -> None:
    vectors = golden("peer_lists")
    for vector in vectors:
        encoded = bytes.fromhex(vector["hex"])
        peers = tuple(peer_of(peer) for peer in vector["peers"])
        assert decode_peers(encoded) == peers
        assert encode_peers(peers) == encoded
    assert len(vectors) == 12


Values = dict[str, str]


def judged(kind: int) -> list[tuple[bytes, Values | None]]:
    """Give each input of a kind with the values that raft.cr decoded, None where it refused."""
    rows = map(json.loads, (DATA / "decode_corpus.jsonl").read_text().splitlines())
    verdicts = [(row["hex"], row["verdict"].split()) for row in rows if row["kind"] == kind]
    return [
        (bytes.fromhex(encoded), dict(word.split("=") for word in words) if ok == "ok" else None)
        for encoded, (ok, *words) in verdicts
    ]


def refusal(codec: type[Message | LogEntry | Peer], encoded: bytes) -> str | None:
    """Name the error with which we refuse the input, None where we decode it."""
    try:
        codec.decode(encoded)
    except DecodeError as error:
        return type(error).__name__
    return None


def trailing(encoded: bytes, values: Values) -> bool:
    return int(values["consumed"]) < len(encoded)


def message_difference(encoded: bytes, values: Values) -> str | None:
    if values["protocol_version"] != "1":
        return UnsupportedVersionError.__name__
    if int(values["type"]) > MessageType.TIMEOUT_NOW or encoded[66] > 1:
        return InvalidFieldError.__name__
    return TrailingBytesError.__name__ if trailing(encoded, values) else None


def test_corpus_of_messages() -> None:
    seen = Counter[str]()
    for encoded, values in judged(0):
        refused = refusal(Message, encoded)
        if values is None:
            assert refused is not None
            seen["refused by both"] += 1
        elif difference := message_difference(encoded, values):
            assert refused == difference
            seen[refused] += 1
        else:
            message = Message.decode(encoded)
            assert {
                "protocol_version": str(message.protocol_version),
                "group_id": str(message.group_id),
                "type": str(message.type.value),
                "from": str(message.sender),
                "term": str(message.term),
                "prev_log_index": str(message.prev_log_index),
                "prev_log_term": str(message.prev_log_term),
                "commit_index": str(message.commit_index),
                "last_log_index": str(message.last_log_index),
                "last_log_term": str(message.last_log_term),
                "success": str(int(message.success)),
                "reject_hint": str(message.reject_hint),
                "entries_count": str(message.entries_count),
                "entries_data": message.data.hex(),
                "consumed": str(len(message.encode())),
            } == values
            seen["decoded by both"] += 1
    assert seen == {
        "decoded by both": 102,
        "refused by both": 139,
        "UnsupportedVersionError": 47,
        "InvalidFieldError": 26,
        "TrailingBytesError": 23,
    }


def peer_difference(encoded: bytes, values: Values) -> str | None:
    try:
        bytes.fromhex(values["address"]).decode()
    except UnicodeDecodeError:
        return InvalidFieldError.__name__
    if int(values["role"]) > PeerRole.LEARNER:
        return InvalidFieldError.__name__
    return TrailingBytesError.__name__ if trailing(encoded, values) else None


def test_corpus_of_peers() -> None:
    seen = Counter[str]()
    for encoded, values in judged(2):
        refused = refusal(Peer, encoded)
        if values is None:
            assert refused is not None
            seen["refused by both"] += 1
        elif difference := peer_difference(encoded, values):
            assert refused == difference
            seen[refused] += 1
        else:
            peer = Peer.decode(encoded)
            assert {
                "id": str(peer.id),
                "role": str(peer.role.value),
                "address": peer.address.encode().hex(),
                "consumed": str(len(peer.encode())),
            } == values
            seen["decoded by both"] += 1
    assert seen == {
        "decoded by both": 97,
        "refused by both": 137,
        "InvalidFieldError": 58,
        "TrailingBytesError": 58,
    }


def test_corpus_of_configuration_entries() -> None:
    seen = Counter[str]()
    for encoded, values in judged(1):
        if encoded[16:17] != b"\x01":
            continue
        refused = refusal(LogEntry, encoded)
        if values is None:
            assert refused is not None
            seen["refused by both"] += 1
        elif trailing(encoded, values):
            assert refused == TrailingBytesError.__name__
            seen[refused] += 1
        else:
            entry = LogEntry.decode(encoded)
            assert (str(entry.term), str(entry.index)) == (values["term"], values["index"])
            assert entry.data.hex() == values["config_data"]
            seen["decoded by both"] += 1
    assert seen == {"decoded by both": 50, "refused by both": 21, "TrailingBytesError": 10}


def entry_bytes(encoded: bytes) -> int:
    """Say how long the entry is by its own size field."""
    return 21 + int.from_bytes(encoded[17:21], "little")


def test_corpus_of_other_entries() -> None:
    # raft.cr reads a command by its inner length and ignores the size of the entry around it, which
    # is what we go by: its verdict binds us only where it accepts and the two agree.
    seen = Counter[str]()
    for encoded, values in judged(1):
        if encoded[16:17] == b"\x01":
            continue
        refused = refusal(LogEntry, encoded)
        if values is None:
            seen["refused by raft.cr"] += 1
        elif int(values["entry_type"]) > EntryType.NOOP:
            assert refused == InvalidFieldError.__name__
            seen[refused] += 1
        elif entry_bytes(encoded) != int(values["consumed"]):
            seen["lengths differ"] += 1
        elif trailing(encoded, values):
            assert refused == TrailingBytesError.__name__
            seen[refused] += 1
        else:
            entry = LogEntry.decode(encoded)
            assert (str(entry.term), str(entry.index), str(entry.type.value)) == (
                values["term"],
                values["index"],
                values["entry_type"],
            )
            no_command = values["data"] == "nil"
            assert entry.data == (b"" if no_command else with_length(bytes.fromhex(values["data"])))
            seen["decoded by both"] += 1
    assert seen == {
        "decoded by both": 85,
        "lengths differ": 12,
        "refused by raft.cr": 111,
        "InvalidFieldError": 20,
        "TrailingBytesError": 39,
    }
