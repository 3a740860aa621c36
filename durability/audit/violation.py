"""A violation: a guarantee that was broken, in words, and how it shows."""

import msgspec

from durability.targets.contract import Tear


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One broken guarantee.

    `kind` is a short stable name ("lost", "recovery-hung"); `invariant` is the guarantee in a
    sentence; `message` says what was observed instead, with the numbers; `reproduce` is one command
    line, empty until the finding is kept. `subject` is what broke it: a target's name, the path of
    an audited directory. `tear` is the coarsest tear that showed it, where a kill did;
    `strongest_model` the most realistic persistence model, where a power cut did.
    """

    kind: str
    invariant: str
    message: str
    reproduce: str = ""
    subject: str = ""
    tear: Tear | None = None
    strongest_model: str | None = None
