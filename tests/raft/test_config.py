import math
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft.config import Config
from raft.errors import ConfigError
from tests.strategies import configs

NUMBERS = {
    "node_id": (1, 2**64 - 1),
    "group_id": (0, 2**64 - 1),
    "election_timeout_ticks_min": (2, 2**32 - 1),
    "election_timeout_ticks_max": (2, 2**32 - 1),
    "heartbeat_interval_ticks": (1, 2**32 - 1),
    "max_append_entries_bytes": (1, 2**32 - 1),
    "snapshot_chunk_bytes": (1, 2**32 - 1),
    "max_message_payload_bytes": (22, 2**32 - 1),
    "max_segment_bytes": (1, 2**64 - 1),
    "max_appends_in_flight": (1, 2**32 - 1),
    "trailing_entries": (0, 2**64 - 1),
    "snapshot_threshold_entries": (1, 2**64 - 1),
    "random_seed": (0, 2**64 - 1),
}
FLAGS = {"pre_vote", "promote_learners", "repair_from_peers"}
OPTIONAL = {"snapshot_threshold_entries", "random_seed"}

# Settings with the most room for the others: only the field under test can be at fault.
ROOMY = {
    "node_id": 1,
    "election_timeout_ticks_min": 2,
    "election_timeout_ticks_max": 2**32 - 1,
    "max_append_entries_bytes": 1,
    "snapshot_chunk_bytes": 1,
    "max_message_payload_bytes": 2**32 - 1,
}


def make(**settings: Any) -> Config:
    return Config(**(ROOMY | settings))


def test_each_field_has_a_range_or_is_a_flag() -> None:
    assert {field.name for field in fields(Config)} == NUMBERS.keys() | FLAGS


def test_a_node_id_is_all_that_must_be_said() -> None:
    config = Config(node_id=1)
    assert (config.election_timeout_ticks_min, config.election_timeout_ticks_max) == (10, 20)
    assert config.max_message_payload_bytes == 64 * 2**20
    assert config.pre_vote


@pytest.mark.parametrize("name", NUMBERS)
def test_what_lies_beyond_a_range_is_refused_by_name_d31(name: str) -> None:
    least, greatest = NUMBERS[name]
    wanted = f"set it to an integer from {least} to {greatest}"
    with pytest.raises(ConfigError, match=f"^{name} is too small; {wanted}$"):
        make(**{name: least - 1})
    for value in (greatest + 1, 2**20_000):
        with pytest.raises(ConfigError, match=f"^{name} is too large; {wanted}$"):
            make(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_the_least_value_is_permitted(name: str) -> None:
    least, _ = NUMBERS[name]
    assert getattr(make(**{name: least}), name) == least


# A heartbeat interval never reaches the greatest: it stays below an election timeout.
@pytest.mark.parametrize("name", sorted(NUMBERS.keys() - {"heartbeat_interval_ticks"}))
def test_the_greatest_value_is_permitted(name: str) -> None:
    _, greatest = NUMBERS[name]
    assert getattr(make(**{name: greatest}), name) == greatest


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["7", 7.0, math.nan, True, b"7", [7], None])
def test_what_is_not_an_integer_is_refused_by_name(name: str, value: object) -> None:
    if value is None and name in OPTIONAL:
        assert getattr(make(**{name: None}), name) is None
        return
    with pytest.raises(ConfigError, match=f"^{name} is a {type(value).__name__}; set it to"):
        make(**{name: value})


@pytest.mark.parametrize("value", [0, 1, None, "yes"])
@pytest.mark.parametrize("name", sorted(FLAGS))
def test_a_flag_is_a_bool(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is not a bool"):
        make(**{name: value})


def test_election_timeouts_may_be_equal_but_not_crossed() -> None:
    make(election_timeout_ticks_min=9, election_timeout_ticks_max=9)
    with pytest.raises(ConfigError, match=r"^election_timeout_ticks_min is above"):
        make(election_timeout_ticks_min=10, election_timeout_ticks_max=9)


def test_a_heartbeat_comes_before_the_earliest_election_timeout_d31() -> None:
    make(election_timeout_ticks_min=9, heartbeat_interval_ticks=8)
    with pytest.raises(ConfigError, match=r"^heartbeat_interval_ticks is not below"):
        make(election_timeout_ticks_min=9, heartbeat_interval_ticks=9)


@pytest.mark.parametrize("name", ["max_append_entries_bytes", "snapshot_chunk_bytes"])
def test_what_a_message_carries_fits_into_its_payload_d31(name: str) -> None:
    make(max_message_payload_bytes=100, **{name: 100})
    with pytest.raises(ConfigError, match=f"^{name} is above max_message_payload_bytes"):
        make(max_message_payload_bytes=100, **{name: 101})


@given(configs())
def test_a_configuration_is_a_value(config: Config) -> None:
    again = Config(**{field.name: getattr(config, field.name) for field in fields(Config)})
    assert again == config
    assert hash(again) == hash(config)
    with pytest.raises(FrozenInstanceError):
        config.node_id = 2  # type: ignore[misc]  # that it is refused is what is shown


@given(
    st.dictionaries(
        st.sampled_from(sorted(NUMBERS.keys() | FLAGS)),
        st.integers() | st.none() | st.booleans() | st.floats() | st.text() | st.binary(),
    )
)
def test_any_settings_are_accepted_or_a_config_error(settings: dict[str, Any]) -> None:
    try:
        config = make(**settings)
    except ConfigError:
        return
    assert config.heartbeat_interval_ticks < config.election_timeout_ticks_min
    assert config.election_timeout_ticks_min <= config.election_timeout_ticks_max
    assert 1 <= config.snapshot_chunk_bytes <= config.max_message_payload_bytes
