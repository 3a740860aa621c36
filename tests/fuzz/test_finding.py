import pytest

from fuzz.finding import Identity, file_name, run_check, shrink
from fuzz.watch import HangError, Watched, watching
from raft.errors import TruncatedError
from raft.message import Message


def decode(data: bytes) -> None:
    Message.decode(data)


def test_an_error_is_known_by_its_type_and_its_innermost_place_in_the_project() -> None:
    error = run_check(decode, b"")
    assert isinstance(error, TruncatedError)
    identity = Identity.of(error)
    assert identity.error == "TruncatedError"
    assert identity.place.startswith("raft/message.py:")
    assert identity.place.endswith(" in decode")
    longer = run_check(decode, b"\1" * 20)
    assert longer is not None
    assert Identity.of(longer) == identity


def test_even_an_exit_is_a_finding_but_a_person_may_interrupt() -> None:
    def leave(data: bytes) -> None:
        raise SystemExit if data else KeyboardInterrupt

    assert isinstance(run_check(leave, b"1"), SystemExit)
    with pytest.raises(KeyboardInterrupt):
        run_check(leave, b"")


def test_an_input_is_shrunk_to_what_makes_it_fail() -> None:
    assert shrink(bytes(range(200)), lambda data: b"\x42" in data) == b"\x42"
    assert shrink(b"abcdef" * 9, lambda data: len(data) >= 7) == bytes(7)
    assert shrink(b"abc", lambda data: data == b"abc") == b"abc"


def test_attempts_are_limited() -> None:
    attempts = 0

    def fails(data: bytes) -> bool:
        nonlocal attempts
        attempts += 1
        return not data

    shrink(bytes(range(256)) * 8, fails, attempts=100)
    assert attempts == 100


def test_a_file_is_named_by_its_sha_1() -> None:
    assert file_name(b"") == "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def test_a_check_that_does_not_end_is_cut_short() -> None:
    def endless(data: bytes) -> None:
        while data:
            pass

    check = Watched(endless)
    with watching(check):
        check(b"")
        with pytest.raises(HangError):
            check(b"1")
        check(b"")
    assert check.executions == 3
