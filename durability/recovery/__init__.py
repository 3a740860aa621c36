"""What the target makes of a crash.

A target and a directory go in; what recovery printed and how it ended come out.
"""

from durability.recovery.recovery import Outcome, Recovery, recover

__all__ = ["Outcome", "Recovery", "recover"]
