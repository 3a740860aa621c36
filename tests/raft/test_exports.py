import inspect

import raft

EXPORTED = [
    "Config",
    "EntryType",
    "LogEntry",
    "Message",
    "MessageType",
    "Node",
    "Peer",
    "PeerRole",
]


def test_exactly_these_names_are_exported() -> None:
    assert raft.__all__ == EXPORTED
    public = {
        name
        for name, value in vars(raft).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(EXPORTED)


def test_each_is_a_class_of_this_package() -> None:
    for name in EXPORTED:
        assert inspect.isclass(getattr(raft, name)), name
        assert getattr(raft, name).__module__.startswith("raft."), name
