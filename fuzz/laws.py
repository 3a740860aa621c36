"""The laws of an encoding, whatever is encoded.

1. Bytes decode to a value or raise one of the documented errors, and that names a fault they have.
2. A value is encoded as exactly the bytes that it was decoded from: there is one encoding.
3. Every strict prefix of an encoding is refused as truncated, every extension for what follows.
4. A second decoder, written from the document alone, agrees: on the value or on the faults.
5. Any bytes-like object decodes as its bytes do.
6. No more is allocated than a small multiple of the input.
7. A payload of the size that the caller permits is taken, one byte more is refused as too large.

Not seen here: a value that no bytes decode to. The tests draw values and encode them.
"""

import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")
Buffer = bytes | bytearray | memoryview
Faults = frozenset[type[Exception]]
"""The errors that an input deserves; a decoder stops at any one of them."""

_ALLOCATED_BYTES_PER_BYTE: Final = 16
_ALLOCATED_BYTES_MIN: Final = 64 * 2**10
# Every prefix of an input of up to 2 KiB; of longer ones so many that it takes about as long.
_PREFIX_BYTES_MAX: Final = 2**22


class BrokenLawError(AssertionError):
    """A law of the format does not hold for the input.

    `kind` is its name where one place in the code judges by many laws.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Limit(Generic[Value]):
    """How a decoder is given a limit in bytes, and which part of a value it is about."""

    decode: Callable[[Buffer, int], Value]
    payload_bytes: Callable[[Value], int]
    too_large: type[Exception]

    def check(self, data: bytes, value: Value) -> None:
        """Decode an encoding of `value` with the least limit that permits it, and one less.

        Raises:
            BrokenLawError: the limit is not kept exactly.
        """
        limit_bytes = self.payload_bytes(value)
        if self.decode(data, limit_bytes) != value:
            raise BrokenLawError(f"another value within a limit of {limit_bytes} bytes")
        if limit_bytes:
            try:
                self.decode(data, limit_bytes - 1)
            except self.too_large:
                return
            raise BrokenLawError(f"{limit_bytes} bytes are above the limit, and were taken")


@dataclass(frozen=True, kw_only=True)
class Encoding(Generic[Value]):
    """One encoding and what is said of it.

    `specification` is the second decoder: it returns the value, or the faults. `error` is the root
    of all documented errors, `truncated` and `trailing` are those of a prefix and an extension.
    `limit` decodes within a limit in bytes, and says how many a value's payload has; None where
    the format has no limit of the caller's.
    """

    decode: Callable[[Buffer], Value]
    encode: Callable[[Value], bytes]
    specification: Callable[[bytes], Value | Faults]
    error: type[Exception]
    truncated: type[Exception]
    trailing: type[Exception]
    limit: Limit[Value] | None = None

    def probe(self, data: bytes) -> None:
        """Hold an input against the laws that cost little, for one drawn prefix and extension.

        What is drawn depends on the input alone, so that a finding shows again.

        Raises:
            BrokenLawError: one of them does not hold.
        """
        try:
            value = self.decode(data)
        except self.error:
            return
        draw = zlib.crc32(data)
        self._check_encoding(value, data)
        self._check_refused(data[: draw % len(data)], self.truncated)
        self._check_refused(data + draw.to_bytes(4, "little"), self.trailing)

    def check(self, data: bytes) -> None:
        """Hold an input against every law.

        Raises:
            BrokenLawError: one of them does not hold.
        """
        expected = self.specification(data)
        outcome = self._outcome(data)
        self._check_specification(outcome, expected)
        self._check_allocation(data)
        for buffer in (bytearray(data), memoryview(data), memoryview(data + data)[: len(data)]):
            other = self._outcome(buffer)
            if other != outcome:
                raise BrokenLawError(f"{type(buffer).__name__}: {other}; bytes: {outcome}")
        if isinstance(outcome, type):
            return
        self._check_encoding(outcome, data)
        if self.limit is not None:
            self.limit.check(data, outcome)
        for size in range(0, len(data), 1 + len(data) ** 2 // _PREFIX_BYTES_MAX):
            self._check_refused(data[:size], self.truncated)
        for extension in (b"\0", b"\xff", bytes(32), data):
            self._check_refused(data + extension, self.trailing)

    def _outcome(self, data: Buffer) -> Value | type[Exception]:
        try:
            return self.decode(data)
        except self.error as error:
            return type(error)

    def _check_specification(
        self, outcome: Value | type[Exception], expected: Value | Faults
    ) -> None:
        if isinstance(outcome, type):
            if not isinstance(expected, frozenset):
                raise BrokenLawError(f"refused with {outcome.__name__}, and is {expected}")
            if outcome not in expected:
                raise BrokenLawError(f"refused with {outcome.__name__}, not {_names(expected)}")
        elif isinstance(expected, frozenset):
            raise BrokenLawError(f"{_names(expected)} expected, decoded to {outcome}")
        elif outcome != expected:
            raise BrokenLawError(f"decoded to {outcome}, and is {expected}")

    def _check_encoding(self, value: Value, data: bytes) -> None:
        encoded = self.encode(value)
        if encoded != data:
            raise BrokenLawError(f"another encoding of the same value is {encoded.hex()}")

    def _check_refused(self, data: bytes, expected: type[Exception]) -> None:
        outcome = self._outcome(data)
        if outcome is not expected:
            raise BrokenLawError(f"{outcome} where {expected.__name__} is due: {data.hex()}")

    def _check_allocation(self, data: bytes) -> None:
        tracemalloc.start()
        try:
            self._outcome(data)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        if peak_bytes > _ALLOCATED_BYTES_MIN + _ALLOCATED_BYTES_PER_BYTE * len(data):
            raise BrokenLawError(f"{peak_bytes} bytes allocated for an input of {len(data)}")


def _names(faults: Faults) -> str:
    return " or ".join(sorted(fault.__name__ for fault in faults))
