"""Files whose content recovery does not trust, so that nothing need be known of it."""

import fnmatch
import re


class Volatile:
    """A set of paths below the watched root, given by patterns as of `fnmatch`; mostly empty."""

    def __init__(self, patterns: tuple[str, ...] = ()) -> None:
        """Take the patterns; a `*` goes across directories too."""
        joined = "|".join(fnmatch.translate(pattern) for pattern in patterns)
        self._pattern = re.compile(joined) if patterns else None

    def __contains__(self, path: object) -> bool:
        if self._pattern is None or not isinstance(path, bytes):
            return False
        return self._pattern.match(path.decode("utf-8", "replace")) is not None
