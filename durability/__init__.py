"""Run a node, kill it at an exact byte, let it recover, audit what it had promised.

`check` is the way in from Python; everything else is behind the command line. It is imported when
it is asked for: most of this package needs but a few of its own modules.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from durability.checking import check

__all__ = ["check"]


def __getattr__(name: str) -> Any:
    if name == "check":
        from durability.checking import check  # noqa: PLC0415 - as said above

        return check
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
