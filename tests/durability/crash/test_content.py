import os
from pathlib import Path

from durability.crash.content import DIGEST_BYTES, Content
from durability.trace.tree import Tree, initial_records

CONTENTS = [
    Content({}, {}, frozenset()),
    Content({b"a": b""}, {}, frozenset()),
    Content({b"a": b"b"}, {}, frozenset()),
    Content({b"ab": b""}, {}, frozenset()),
    Content({b"a": b"", b"b": b""}, {}, frozenset()),
    Content({}, {b"a": b"b"}, frozenset()),
    Content({}, {}, frozenset({b"a"})),
    Content({}, {}, frozenset({b"a", b"a/b"})),
    Content({b"a/b": b"c", b"a/\xff": b"\0"}, {b"l": b"a/b"}, frozenset({b"a"})),
]


def test_no_two_contents_have_one_digest() -> None:
    digests = {content.digest() for content in CONTENTS}
    assert len(digests) == len(CONTENTS)
    assert {len(digest) for digest in digests} == {DIGEST_BYTES}
    assert (
        Content({b"b": b"2", b"a": b"1"}, {}, frozenset()).digest()
        == Content({b"a": b"1", b"b": b"2"}, {}, frozenset()).digest()
    )


def test_what_is_written_down_is_what_it_was(tmp_path: Path) -> None:
    for number, content in enumerate(CONTENTS):
        root = tmp_path / str(number)
        root.mkdir()
        content.write_to(os.fsencode(root))
        found = Tree(initial_records(os.fsencode(root), lambda status: status.st_ino))
        assert Content.of(found) == content


def test_only_files_at_the_top_are_flat() -> None:
    assert [content.is_flat for content in CONTENTS] == [True] * 5 + [False] * 4
