"""Making a corpus small: as few inputs as reach everything that all of them reach together.

libFuzzer's merge starts itself again in ways that can fail without a word, and leave an empty
folder behind. So what came out is measured before it takes the place of what was there.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from fuzz.campaign import Limits, fuzz, merge
from fuzz.errors import EmptyRunError
from fuzz.finding import file_name


class Minimised(msgspec.Struct, frozen=True):
    """How many files there were and are, and the coverage of either."""

    files_before: int
    files_after: int
    coverage_before: int
    coverage_after: int


def minimise(target: str, corpus: Path, more: Iterable[Path]) -> Minimised:
    """Replace the inputs in the folder `corpus` by the fewest of them, and of those in `more`.

    Folders inside of it - the regressions - are left as they are.

    Raises:
        EmptyRunError: the fewer inputs reach less. Nothing was changed.
    """
    inputs = {
        file_name(data): data
        for directory in (corpus, *more)
        for path in sorted(directory.iterdir())
        if path.is_file()
        for data in [path.read_bytes()]
    }
    with tempfile.TemporaryDirectory(prefix="raft-fuzz-") as scratch:
        before, after = Path(scratch, "before"), Path(scratch, "after")
        before.mkdir()
        for name, data in inputs.items():
            (before / name).write_bytes(data)
        merge(target, after, before)
        chosen = [path.read_bytes() for path in after.iterdir()]
        coverage_before = _coverage(target, before)
        coverage_after = _coverage(target, after)
    if not chosen or coverage_after < coverage_before:
        raise EmptyRunError(
            f"{target}: {len(inputs)} inputs reach {coverage_before}, and the {len(chosen)} that "
            f"the merge has left reach {coverage_after}; nothing was changed"
        )
    for path in list(corpus.iterdir()):
        if path.is_file():
            path.unlink()
    for data in chosen:
        (corpus / file_name(data)).write_bytes(data)
    return Minimised(len(inputs), len(chosen), coverage_before, coverage_after)


def _coverage(target: str, directory: Path) -> int:
    """Return the coverage of the inputs alone: no mutation is made of them."""
    return fuzz(target, "default", Limits(executions=0), 0, [directory]).coverage
