"""What can go wrong in fuzzing beside what `durability.errors` lists.

A finding is not an error: it is a result, and travels as one.
"""

from durability.errors import InconclusiveError


class EmptyRunError(InconclusiveError):
    """A run that looks like a success and is none: it executed, instrumented or reached nothing."""
