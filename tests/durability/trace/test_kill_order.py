import pytest
from hypothesis import given
from hypothesis import strategies as st

from durability.targets.contract import Tear
from durability.trace.kill_order import PAGE_BYTES, KillOrder


@pytest.mark.parametrize(
    ("order", "written", "length", "file_offset", "cut"),
    [
        (KillOrder(10), 0, 9, 0, None),
        (KillOrder(10), 0, 10, 0, 10),
        (KillOrder(10), 0, 11, 0, 10),
        (KillOrder(10), 10, 5, 0, 0),
        (KillOrder(10), 12, 5, 0, 0),
        (KillOrder(0), 0, 5, 0, 0),
        (KillOrder(10, 1), 0, 10, 0, None),
        (KillOrder(10, 1), 0, 11, 0, 10),
        (KillOrder(10, 1), 10, 5, 0, 0),
        (KillOrder(5000, 0, "page"), 0, 9000, 0, 4096),
        (KillOrder(5000, 0, "page"), 0, 9000, 100, 3996),
        (KillOrder(5000, 0, "page"), 0, 9000, 4000, 4192),
        (KillOrder(50, 0, "page"), 0, 100, 10, 0),
        (KillOrder(100, 0, "page"), 0, 100, 10, 100),
        (KillOrder(4096, 0, "page"), 0, 9000, 0, 4096),
        (KillOrder(5000, 0, "none"), 0, 9000, 0, 0),
        (KillOrder(9000, 0, "none"), 0, 9000, 0, 9000),
    ],
)
def test_cut(
    order: KillOrder, written: int, length: int, file_offset: int, cut: int | None
) -> None:
    assert order.cut(written, length, file_offset) == cut


SMALL = st.integers(0, 3 * PAGE_BYTES)
TEARS: tuple[Tear, ...] = ("byte", "page", "none")


@given(
    offset=SMALL,
    calls=st.integers(0, 2),
    tear=st.sampled_from(TEARS),
    written=SMALL,
    length=st.integers(1, 3 * PAGE_BYTES),
    file_offset=SMALL,
)
def test_a_cut_is_the_last_allowed_place_not_beyond_the_order(
    *, offset: int, calls: int, tear: Tear, written: int, length: int, file_offset: int
) -> None:
    def allowed(cut: int) -> bool:
        if cut in (0, length) or tear == "byte":
            return True
        return tear == "page" and (file_offset + cut) % PAGE_BYTES == 0

    wanted = offset - written
    goes_on = wanted > length or (wanted == length and calls > 0)
    expected = None if goes_on else max(c for c in range(max(0, wanted) + 1) if allowed(c))
    assert KillOrder(offset, calls, tear).cut(written, length, file_offset) == expected


def test_it_is_written_as_the_command_line_takes_it() -> None:
    assert str(KillOrder(12)) == "12"
    assert str(KillOrder(12, 3, "page")) == "12+3"
