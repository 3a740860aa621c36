import inspect
import pickle
import re

import pytest

from raft import errors
from raft.errors import ConfigError, CorruptionError, DecodeError, EncodeError, NotLeaderError

DRAWN = re.compile(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>\w+Error)\b", re.MULTILINE)


def drawn_parents() -> dict[str, str]:
    """Read the tree in the docstring: the parent of each class, by name."""
    parents = {}
    ancestors: list[str] = []
    for match in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(match["branch"]) // 4
        del ancestors[depth:]
        parents[match["name"]] = ancestors[-1] if ancestors else "Exception"
        ancestors.append(match["name"])
    return parents


def test_the_tree_that_is_drawn_is_the_tree_that_there_is() -> None:
    classes = {
        name: value.__bases__[0].__name__
        for name, value in inspect.getmembers(errors, inspect.isclass)
    }
    assert drawn_parents() == classes


@pytest.mark.parametrize("error", [DecodeError, EncodeError, ConfigError])
def test_bad_values_are_value_errors(error: type[Exception]) -> None:
    assert issubclass(error, ValueError)


def test_corruption_says_where() -> None:
    in_the_log = CorruptionError("d/1.segment", 60, 7, "its crc is wrong")
    assert str(in_the_log) == "d/1.segment is corrupt at byte 60, entry 7: its crc is wrong"
    elsewhere = CorruptionError("d/metadata", 69, None, "its crc is wrong")
    assert str(elsewhere) == "d/metadata is corrupt at byte 69: its crc is wrong"


def test_not_leader_says_who_is() -> None:
    assert str(NotLeaderError(3)) == "only the leader takes this; that is node 3"
    assert str(NotLeaderError(None)) == "only the leader takes this; none is known"


@pytest.mark.parametrize("error", [CorruptionError("p", 1, None, "r"), NotLeaderError(3)])
def test_errors_with_fields_travel_between_processes(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again)) == (type(error), vars(error))
