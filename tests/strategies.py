"""Hypothesis strategies for every type of raft's vocabulary.

Numbers are drawn from the edges of their width as often as from between: carry and sign mistakes
live there.
"""

from typing import Any

from hypothesis import strategies as st

from raft.config import Config
from raft.log_entry import EntryType, LogEntry
from raft.message import Message, MessageType
from raft.peer import Peer, PeerRole, encode_peers


def unsigned(bits: int) -> st.SearchStrategy[int]:
    """Draw an unsigned integer of `bits` bits."""
    greatest = 2**bits - 1
    edges = sorted({0, 1, 127, 128, 255, 256, 2 ** (bits - 1), greatest - 1, greatest})
    return st.sampled_from(edges) | st.integers(0, greatest)


def peers() -> st.SearchStrategy[Peer]:
    """Draw a peer; its address is any text that UTF-8 can carry."""
    return st.builds(Peer, unsigned(64), st.sampled_from(PeerRole), st.text(max_size=40))


def peer_lists(max_size: int = 5) -> st.SearchStrategy[tuple[Peer, ...]]:
    """Draw a configuration: each id occurs once."""
    distinct = st.lists(peers(), max_size=max_size, unique_by=lambda peer: peer.id)
    return distinct.map(tuple)


def log_entries() -> st.SearchStrategy[LogEntry]:
    """Draw an entry of any type; half of the configurations carry a peer list, half any bytes."""
    opaque = st.builds(
        LogEntry,
        unsigned(64),
        unsigned(64),
        st.sampled_from(EntryType),
        st.binary(max_size=100),
    )
    configuration = st.builds(
        LogEntry,
        unsigned(64),
        unsigned(64),
        st.just(EntryType.CONFIGURATION),
        peer_lists().map(encode_peers),
    )
    return opaque | configuration


def _message(entries: list[LogEntry] | bytes, fields: dict[str, Any]) -> Message:
    if isinstance(entries, bytes):
        return Message(data=entries, **fields)
    fields |= {
        "type": MessageType.APPEND_ENTRIES,
        "entries_count": len(entries),
        "data": b"".join(entry.encode() for entry in entries),
    }
    return Message(**fields)


def messages() -> st.SearchStrategy[Message]:
    """Draw a message of any type: opaque data and any count, or an AppendEntries that is whole."""
    fields = {
        "group_id": unsigned(64),
        "type": st.sampled_from(MessageType),
        "sender": unsigned(64),
        "term": unsigned(64),
        "prev_log_index": unsigned(64),
        "prev_log_term": unsigned(64),
        "commit_index": unsigned(64),
        "last_log_index": unsigned(64),
        "last_log_term": unsigned(64),
        "success": st.booleans(),
        "reject_hint": unsigned(64),
        "entries_count": unsigned(32),
    }
    return st.builds(
        _message,
        st.binary(max_size=100) | st.lists(log_entries(), max_size=3),
        st.fixed_dictionaries(fields),
    )


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Draw a configuration that is permitted."""
    timeout_min = draw(st.integers(2, 1000))
    payload = draw(st.integers(22, 2**32 - 1))
    return Config(
        node_id=draw(st.integers(1, 2**64 - 1)),
        group_id=draw(unsigned(64)),
        election_timeout_ticks_min=timeout_min,
        election_timeout_ticks_max=draw(st.integers(timeout_min, 2000)),
        heartbeat_interval_ticks=draw(st.integers(1, timeout_min - 1)),
        max_append_entries_bytes=draw(st.integers(1, payload)),
        snapshot_chunk_bytes=draw(st.integers(1, payload)),
        max_message_payload_bytes=payload,
        max_segment_bytes=draw(st.integers(1, 2**64 - 1)),
        snapshot_threshold_entries=draw(st.none() | st.integers(1, 2**64 - 1)),
        random_seed=draw(st.none() | unsigned(64)),
        max_appends_in_flight=draw(st.integers(1, 2**32 - 1)),
        trailing_entries=draw(unsigned(64)),
        pre_vote=draw(st.booleans()),
        promote_learners=draw(st.booleans()),
        repair_from_peers=draw(st.booleans()),
    )
