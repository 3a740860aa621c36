"""Hypothesis strategies for the inputs of a target, made from its layout.

Numbers come from the edges of their field as often as from between; sizes and counts are right, or
as they were drawn.
"""

from hypothesis import strategies as st

from fuzz.layout import Layout, Part
from fuzz.mutator import EDGES

_RECORDS_MAX = 4


def inputs(layout: Layout) -> st.SearchStrategy[bytes]:
    """Draw an input: three times in four by its layout, else any bytes."""
    structured = st.builds(_assemble, _parts(layout), st.booleans())
    return st.one_of(structured, structured, structured, st.binary(max_size=256))


def _assemble(part: Part, repaired: bool) -> bytes:
    if repaired:
        part.repair()
    return bytes(part)


def _parts(layout: Layout) -> st.SearchStrategy[Part]:
    inner = st.just([]) if layout.body is None else _lists(layout.body)
    after = st.just([]) if layout.record is None else _lists(layout.record)
    return st.builds(
        Part,
        st.just(layout),
        st.tuples(*(_fields(width) for width in layout.widths)).map(list),
        st.binary(max_size=32) if layout.size is not None else st.just(b""),
        inner,
        st.binary(min_size=layout.trailer, max_size=layout.trailer),
        after,
    )


def _lists(layout: Layout) -> st.SearchStrategy[list[Part]]:
    return st.lists(_parts(layout), max_size=_RECORDS_MAX)


def _fields(width: int) -> st.SearchStrategy[bytes]:
    edges = [edge for edge in EDGES if edge < 256**width]
    numbers = st.sampled_from(edges) | st.integers(0, 256**width - 1)
    return numbers.map(lambda number: number.to_bytes(width, "little"))
