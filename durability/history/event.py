"""One event of a history: a client has asked for something, or has been answered.

    invoke      the client asks, and waits
    ok          it happened, some time between the two
    fail        it certainly did not happen, and never will
    info        nobody knows: it may take effect at any time from its invocation on, for ever

Events stand in the order in which one recorder observed them, so that no clock is compared.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import msgspec

VALUE_DEPTH_MAX: Final = 16
"""How deep lists may be in one another: a transaction's are two deep."""

_INTEGER_MAX: Final = 2**63 - 1

Value: TypeAlias = "bool | int | str | tuple[Value, ...] | None"
"""What is written, read, or both: integers have 64 bits, and there are no fractions.

Equality decides about a history, and of fractions and of maps it is not the same everywhere.
"""

Process: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_INTEGER_MAX)]
Key: TypeAlias = Annotated[int, msgspec.Meta(ge=-_INTEGER_MAX - 1, le=_INTEGER_MAX)] | str | None
"""Which register, queue or list it is about; None where there is but one."""


class EventType(StrEnum):
    """What an event says of its operation."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Function(StrEnum):
    """What is asked for, by what its value is when it is invoked, and when it is done.

    read        nothing, and what was read
    write       what is written
    cas         (old, new): new is written if the value is old
    enqueue     what is put into a queue
    dequeue     nothing, and what was taken out; nothing if the queue was empty
    append      what is put at the end of a list, or of a text
    txn         several reads and appends at once, each (function, key, value)
    """

    READ = "read"
    WRITE = "write"
    CAS = "cas"
    ENQUEUE = "enqueue"
    DEQUEUE = "dequeue"
    APPEND = "append"
    TXN = "txn"


class Event(msgspec.Struct, frozen=True):
    """One event. A process is a client that does one thing at a time.

    `value` is a `Value`; msgspec, which checks the other fields, knows no type that holds itself.
    """

    process: Process
    type: EventType
    f: Function
    key: Key = None
    value: Any = None


def as_value(found: object, depth: int = 0) -> Value:
    """Return what was found in a file as a value.

    Raises:
        ValueError: it is none, or lists are too deep in one another.
    """
    match found:
        case None | bool():
            return found
        case int() if -_INTEGER_MAX - 1 <= found <= _INTEGER_MAX:
            return found
        case str():
            return str(found)
        case list() | tuple() if depth < VALUE_DEPTH_MAX:
            return tuple(as_value(item, depth + 1) for item in found)
        case list() | tuple():
            raise ValueError(f"a value has lists more than {VALUE_DEPTH_MAX} deep")
        case _:
            raise ValueError(
                f"{found!s:.40} is no value: those are nothing, true, false,"
                " integers of 64 bits, texts, and lists of values"
            )
