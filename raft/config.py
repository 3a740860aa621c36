"""How a node is set up: identity, timing, limits.

Time is counted in ticks: the caller decides how long one is by calling `Node.tick`.
"""

from dataclasses import dataclass

from raft.errors import ConfigError

DEFAULT_MAX_PAYLOAD_BYTES = 64 * 2**20

_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1

# The least and the greatest value of each field by itself.
_RANGES = {
    "node_id": (1, _U64_MAX),
    "group_id": (0, _U64_MAX),
    "election_timeout_ticks_min": (2, _U32_MAX),  # a heartbeat fits in before it runs out
    "election_timeout_ticks_max": (2, _U32_MAX),
    "heartbeat_interval_ticks": (1, _U32_MAX),
    "max_append_entries_bytes": (1, _U32_MAX),
    "snapshot_chunk_bytes": (1, _U32_MAX),
    "max_message_payload_bytes": (22, _U32_MAX),  # an entry of one byte; the wire's size is a u32
    "max_segment_bytes": (1, _U64_MAX),
    "max_appends_in_flight": (1, _U32_MAX),
    "trailing_entries": (0, _U64_MAX),
}
_FLAGS = ("pre_vote", "promote_learners", "repair_from_peers")
_OPTIONAL_RANGES = {
    "snapshot_threshold_entries": (1, _U64_MAX),
    "random_seed": (0, _U64_MAX),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node's settings, checked when they are made.

    Args:
        node_id: this node, a u64. Not 0, which the wire and the disk use for 'nobody'.
        group_id: its Raft group on a shared transport, a u64.
        election_timeout_ticks_min: an election timeout is drawn from here ...
        election_timeout_ticks_max: ... to here, both included. Let them differ wherever there are
            several voters: equal timeouts split the vote again and again.
        heartbeat_interval_ticks: between two heartbeats of a leader.
        max_append_entries_bytes: encoded entries in one AppendEntries; one larger entry goes alone.
        snapshot_chunk_bytes: a snapshot's bytes in one InstallSnapshot.
        max_message_payload_bytes: a message with more data is refused before it is read.
        max_segment_bytes: a log file of this size or more is followed by a new one.
        max_appends_in_flight: AppendEntries with entries that a leader sends to one peer without
            waiting for an answer.
        snapshot_threshold_entries: a snapshot is taken when this many entries have been applied
            since the last one; None takes them only by hand.
        trailing_entries: kept in memory below a snapshot, for peers that lag no further than that.
        random_seed: makes the election timeouts reproducible; None draws a seed.
        pre_vote: ask before raising the term (Ongaro 2014, section 9.6).
        promote_learners: a leader makes a learner a voter as soon as it has caught up.
        repair_from_peers: open a directory whose log or snapshot is damaged, give up what cannot be
            read, and take no part in votes until a leader has replaced it. Of use only where there
            are other voters; without it such a directory is refused, and nothing is changed.

    Raises:
        ConfigError: a field is out of its range, or contradicts another; the text names the field
            and says what to do.
    """

    node_id: int
    group_id: int = 0
    election_timeout_ticks_min: int = 10
    election_timeout_ticks_max: int = 20
    heartbeat_interval_ticks: int = 1
    max_append_entries_bytes: int = 2**20
    snapshot_chunk_bytes: int = 2**20
    max_message_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    max_segment_bytes: int = 64 * 2**20
    max_appends_in_flight: int = 64
    snapshot_threshold_entries: int | None = 10_000
    trailing_entries: int = 1000
    random_seed: int | None = None
    pre_vote: bool = True
    promote_learners: bool = True
    repair_from_peers: bool = False

    def __post_init__(self) -> None:
        for name, (least, greatest) in _RANGES.items():
            _check_range(name, getattr(self, name), least, greatest)
        for name, (least, greatest) in _OPTIONAL_RANGES.items():
            if getattr(self, name) is not None:
                _check_range(name, getattr(self, name), least, greatest)
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is not a bool; set it to True or False")
        if self.election_timeout_ticks_min > self.election_timeout_ticks_max:
            raise ConfigError(
                "election_timeout_ticks_min is above election_timeout_ticks_max; "
                "timeouts are drawn between the two: lower the first or raise the second"
            )
        if self.heartbeat_interval_ticks >= self.election_timeout_ticks_min:
            raise ConfigError(
                "heartbeat_interval_ticks is not below election_timeout_ticks_min; "
                "lower it, or followers depose a healthy leader between two heartbeats"
            )
        for name in ("max_append_entries_bytes", "snapshot_chunk_bytes"):
            if getattr(self, name) > self.max_message_payload_bytes:
                raise ConfigError(
                    f"{name} is above max_message_payload_bytes; "
                    "lower it, or a receiver with this limit refuses every full message"
                )


def _check_range(name: str, value: object, least: int, greatest: int) -> None:
    # The value itself is not quoted: the text of an int of 5,000 digits is a ValueError to Python.
    if not isinstance(value, int) or isinstance(value, bool):
        problem = f"a {type(value).__name__}"
    elif value < least:
        problem = "too small"
    elif value > greatest:
        problem = "too large"
    else:
        return
    raise ConfigError(f"{name} is {problem}; set it to an integer from {least} to {greatest}")
