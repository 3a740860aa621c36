"""A copy of the package under test with one edit in it."""

from durability.errors import UsageError as StaleEditError
from durability.mutants import edited
from durability.mutants.edited import edited_package, source
from fuzz.errors import UsageError

__all__ = ["edit", "edited_package", "source"]


def edit(path: str, old: str, new: str) -> str:
    """Return the content of a source file with `old`, which occurs there once, replaced.

    Raises:
        UsageError: it does not: the source has moved on, and the defect has to follow.
    """
    try:
        return edited.edit(path, old, new)
    except StaleEditError as error:
        raise UsageError(str(error)) from error
