"""When a node stops: at the first exception in the middle of a call, for good.

What is on the disk is then known only to a recovery.
"""

from types import TracebackType

from raft.errors import ConfigError, ProposalError, StoppedError


class StopOnFailure:
    """Lets a call begin only while the node runs, and stops the node where one fails halfway.

    A ProposalError or a ConfigError is raised before anything has been changed.
    """

    __slots__ = ("closed", "stopped")

    def __init__(self) -> None:
        self.closed = False
        self.stopped = False

    def __enter__(self) -> None:
        if self.stopped:
            raise StoppedError("this node has stopped; open the directory anew")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, ProposalError | ConfigError):
            self.stopped = True
