"""A violation: a guarantee that was broken, in words, and how it shows."""

import msgspec


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken guarantee.

    `kind` is a short stable name ("lost", "recovery-hung"); `invariant` is the guarantee in a
    sentence; `message` says what was observed instead, with the numbers; `reproduce` is one command
    line, empty until the finding is kept.
    """

    kind: str
    invariant: str
    message: str
    reproduce: str = ""
