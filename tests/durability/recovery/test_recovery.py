import os
import re
import signal
from collections.abc import Callable

import pytest

from durability.errors import InconclusiveError
from durability.recovery import Recovery, recover
from durability.targets.contract import Call, Speech, Target
from durability.trace.records import Output
from durability.trace.trace import Trace

ITEM = r"^item (?P<id>.+)$"


def recovered(
    function: Callable[[], None],
    *,
    item: str = ITEM,
    timeout_s: float = 60.0,
    stdout_limit_bytes: int = 1 << 20,
) -> Recovery:
    target = Target(
        name="spoken",
        workload=lambda _directory: Call(lambda: None),
        recovery=lambda _directory: Call(function),
        speech=Speech(re.compile("^ack (?P<id>.+)$"), None, re.compile(item)),
        recovery_timeout_s=timeout_s,
    )
    return recover(target, "/nowhere", stdout_limit_bytes=stdout_limit_bytes)


def saying(data: bytes) -> Callable[[], None]:
    def say() -> None:
        os.write(1, data)

    return say


def test_items_are_what_speech_finds_in_lines_in_their_order() -> None:
    found = recovered(saying(b"item b\nhello\nitem a\n\nitem \nitem b\n"))
    assert found.outcome == "recovered"
    assert found.items == ["b", "a", "b"]
    assert found.lines == ["item b", "hello", "item a", "", "item ", "item b"]


def test_only_a_newline_ends_a_line() -> None:
    found = recovered(saying("item a\rb\x0bc\u2028d\n".encode()), item=r"(?s)^item (?P<id>.+)$")
    assert found.items == ["a\rb\x0bc\u2028d"]


def test_a_carriage_return_at_the_end_of_a_line_is_not_part_of_it() -> None:
    assert recovered(saying(b"item a\r\nitem b\r\r\nitem c\r")).items == ["a", "b\r", "c"]


def test_a_trace_and_a_recovery_read_the_same_lines() -> None:
    said = b"item a\r\n\r\n\xff \xc3\nitem b\x0b\xe2\x80\xa8\r\r\n"
    assert Trace([], [Output(said[:9]), Output(said[9:])]).lines() == recovered(saying(said)).lines


def test_bytes_that_are_not_utf_8_are_escaped() -> None:
    assert recovered(saying(b"item \xff\xc3\n")).items == ["\\xff\\xc3"]


def test_line_whose_group_takes_no_part_is_no_item() -> None:
    assert recovered(saying(b"item\nitem 7\n"), item=r"^item( (?P<id>.+))?$").items == ["7"]


def test_own_end_ends_the_last_line() -> None:
    assert recovered(saying(b"item a\nitem b")).items == ["a", "b"]


def test_a_kill_does_not_end_the_last_line() -> None:
    def stop() -> None:
        os.write(1, b"item a\nitem b")
        signal.pause()

    def die() -> None:
        os.write(1, b"item a\nitem b")
        os.kill(os.getpid(), signal.SIGKILL)

    hung, dead = recovered(stop, timeout_s=0.3), recovered(die)
    assert (hung.outcome, hung.exit_status, hung.signal, hung.items) == ("hung", None, None, ["a"])
    assert (dead.outcome, dead.exit_status, dead.items) == ("signalled", None, ["a"])
    assert dead.signal == signal.SIGKILL


def test_failure_keeps_what_was_said() -> None:
    def fail() -> None:
        os.write(1, b"item a\n")
        raise ValueError("torn \udcff")

    failed = recovered(fail)
    assert (failed.outcome, failed.exit_status, failed.items) == ("failed", 1, ["a"])
    assert failed.stderr.endswith("ValueError: torn \\udcff\n")


def test_more_than_is_kept_is_not_judged() -> None:
    assert recovered(saying(b"item a\n"), stdout_limit_bytes=7).items == ["a"]
    with pytest.raises(InconclusiveError, match="spoken printed 8 bytes; only 7"):
        recovered(saying(b"item ab\n"), stdout_limit_bytes=7)
