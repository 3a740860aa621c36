"""Invariant tested: exactly the settings that make sense are accepted, others with a typed error.

An input is values in the order of `Config`'s fields, each u8 kind and u64 number; a field without
a value has its default.
"""

import struct
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from fuzz.laws import BrokenLawError
from fuzz.layout import Layout
from fuzz.target import Target
from raft.config import Config
from raft.errors import ConfigError

_VALUE: Final = struct.Struct("<BQ")
_FIELDS: Final = tuple(field.name for field in fields(Config))
_DEFAULTS: Final = {field.name: field.default for field in fields(Config)} | {"node_id": 1}

_FLAGS: Final = ("pre_vote", "promote_learners", "repair_from_peers")

CONFIG: Final = Layout((), record=Layout((1, 8)))


def check(data: bytes) -> None:
    """Make a configuration of the values that the input stands for."""
    settings = _settings(data)
    sensible = _is_sensible(_DEFAULTS | settings)
    try:
        Config(**{"node_id": 1} | settings)
    except ConfigError as error:
        # Its text names a field; that it can be made into a text at all is a part of the law.
        if sensible or not any(name in str(error) for name in _FIELDS):
            raise BrokenLawError(f"{settings} are refused: {error}") from error
    else:
        if not sensible:
            raise BrokenLawError(f"{settings} are accepted")


def _settings(data: bytes) -> dict[str, Any]:
    whole = data[: len(data) - len(data) % _VALUE.size]
    values = zip(_FIELDS, _VALUE.iter_unpack(whole), strict=False)
    return {name: _value(kind, number) for name, (kind, number) in values if kind}


def _value(kind: int, number: int) -> Any:
    above_u64 = 2**64 + number
    too_long_to_print = number << 16384
    values = (
        number,
        -number,
        too_long_to_print,
        bool(number & 1),
        None,
        float(number),
        str(number),
        above_u64,
    )
    return values[(kind - 1) % len(values)]


def _is_sensible(settings: Mapping[str, Any]) -> bool:
    """Say once more, in one expression, with which settings the node can run."""
    u32 = range(1, 2**32)
    u64 = range(2**64)
    permitted = {
        "node_id": u64[1:],
        "group_id": u64,
        "election_timeout_ticks_min": u32,
        "election_timeout_ticks_max": u32,
        "heartbeat_interval_ticks": u32,
        "max_append_entries_bytes": u32,
        "snapshot_chunk_bytes": u32,
        "max_message_payload_bytes": u32[21:],
        "max_segment_bytes": u64[1:],
        "snapshot_threshold_entries": u64[1:],
        "random_seed": u64,
        "max_appends_in_flight": u32,
        "trailing_entries": u64,
    }
    optional = ("snapshot_threshold_entries", "random_seed")
    return (
        all(
            (name in optional and settings[name] is None) or _is_integer(settings[name], numbers)
            for name, numbers in permitted.items()
        )
        and all(type(settings[name]) is bool for name in _FLAGS)
        and settings["heartbeat_interval_ticks"]
        < settings["election_timeout_ticks_min"]
        <= settings["election_timeout_ticks_max"]
        and settings["max_append_entries_bytes"] <= settings["max_message_payload_bytes"]
        and settings["snapshot_chunk_bytes"] <= settings["max_message_payload_bytes"]
    )


def _is_integer(value: Any, permitted: range) -> bool:
    return type(value) is int and value in permitted


TARGET: Final = Target(check=check, probe=check, layout=CONFIG)
