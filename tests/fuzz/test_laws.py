"""Each law is broken by a codec that breaks it, and by no other."""

import dataclasses
import zlib

import pytest

from fuzz.laws import BrokenLawError, Buffer, Encoding, Faults, Limit


class ToyError(ValueError):
    pass


class ShortError(ToyError):
    pass


class LongError(ToyError):
    pass


class BigError(ToyError):
    pass


def decode(data: Buffer, limit_bytes: int = 255) -> bytes:
    """A size of one byte, and so many bytes."""
    data = bytes(data)
    if not data:
        raise ShortError
    if data[0] > limit_bytes:
        raise BigError
    if len(data) != 1 + data[0]:
        raise ShortError if len(data) < 1 + data[0] else LongError
    return data[1:]


def encode(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def specification(data: bytes) -> bytes | Faults:
    if not data or len(data) < 1 + data[0]:
        return frozenset({ShortError})
    return frozenset({LongError}) if len(data) > 1 + data[0] else data[1:]


GOOD = Encoding(
    decode=decode,
    encode=encode,
    specification=specification,
    error=ToyError,
    truncated=ShortError,
    trailing=LongError,
    limit=Limit(decode, len, BigError),
)
INPUTS = (b"", b"\0", b"\1", b"\3abc", b"\3abcd", b"\3ab", b"\xff", bytes(300))


@pytest.mark.parametrize("data", INPUTS)
def test_a_good_codec_obeys_them_all(data: bytes) -> None:
    GOOD.probe(data)
    GOOD.check(data)


def breaks(changes: dict[str, object], data: bytes, *, in_the_loop: bool) -> str:
    encoding = dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]  # bad on purpose
    with pytest.raises(BrokenLawError) as caught:
        encoding.check(data)
    if in_the_loop:
        with pytest.raises(BrokenLawError):
            encoding.probe(data)
    else:
        encoding.probe(data)
    return str(caught.value)


def test_an_error_that_the_input_does_not_deserve() -> None:
    def confused(data: Buffer) -> bytes:
        try:
            return decode(data)
        except LongError:
            raise ShortError from None

    text = breaks({"decode": confused}, b"\1abc", in_the_loop=False)
    assert text == "refused with ShortError, not LongError"


def test_a_second_encoding() -> None:
    def lenient(data: Buffer) -> bytes:
        return decode(bytes(data).rstrip(b"!"))

    text = breaks({"decode": lenient, "specification": lenient}, b"\1a!", in_the_loop=True)
    assert "another encoding of the same value is 0161" in text


@pytest.mark.parametrize("size", range(4))
def test_a_prefix_that_is_not_truncated(size: int) -> None:
    def early(data: Buffer) -> bytes:
        return decode(data) if len(data) != size else b"early"

    drawn = zlib.crc32(b"\3abc") % 4
    assert "early" in breaks({"decode": early}, b"\3abc", in_the_loop=size == drawn)


def test_an_extension_that_is_accepted() -> None:
    def lenient(data: Buffer) -> bytes:
        return decode(bytes(data)[:4]) if len(data) > 4 else decode(data)

    assert "LongError is due" in breaks({"decode": lenient}, b"\3abc", in_the_loop=True)


def test_another_value_than_the_specification() -> None:
    text = breaks({"specification": lambda _: b"abd"}, b"\3abc", in_the_loop=False)
    assert text == "decoded to b'abc', and is b'abd'"
    text = breaks({"specification": lambda _: b"abc"}, b"\3abcd", in_the_loop=False)
    assert text == "refused with LongError, and is b'abc'"
    faults = frozenset({LongError})
    text = breaks({"specification": lambda _: faults}, b"\3abc", in_the_loop=False)
    assert text == "LongError expected, decoded to b'abc'"


def test_another_outcome_for_another_kind_of_buffer() -> None:
    def picky(data: Buffer) -> bytes:
        if isinstance(data, bytearray):
            raise ShortError
        return decode(data)

    assert "bytearray" in breaks({"decode": picky}, b"\3abc", in_the_loop=False)


def test_an_allocation_that_the_input_does_not_justify() -> None:
    def greedy(data: Buffer) -> bytes:
        bytearray(2**20)
        return decode(data)

    text = breaks({"decode": greedy}, b"\3abc", in_the_loop=False)
    assert "bytes allocated for an input of 4" in text


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_limit_that_is_not_exact(shift: int) -> None:
    def shifted(data: Buffer, limit_bytes: int) -> bytes:
        return decode(data, limit_bytes + shift)

    limit = Limit(shifted, len, BigError)
    if shift < 0:
        with pytest.raises(BigError):
            dataclasses.replace(GOOD, limit=limit).check(b"\3abc")
    else:
        assert "above the limit" in breaks({"limit": limit}, b"\3abc", in_the_loop=False)


def test_an_undocumented_error_comes_through_as_it_is() -> None:
    def careless(data: Buffer) -> bytes:
        return decode(bytes(data)[: data[0] + 1])

    encoding = dataclasses.replace(GOOD, decode=careless)
    with pytest.raises(IndexError):
        encoding.probe(b"")
