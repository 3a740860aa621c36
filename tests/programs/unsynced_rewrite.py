"""Loses items to a power cut inside its recovery, which writes the log anew and does not sync it.

A kill spares that, and so does a power cut in the run: what is shown then was synced.
"""

import os

from control import main
from good_append import encoded, recover, write


def rewrite(directory: str) -> list[str]:
    """Return what is recovered, once it has the place of what was there."""
    found = recover(directory)
    temporary, log = (os.path.join(directory, name) for name in ("log.tmp", "log"))
    with open(temporary, "wb") as file:
        file.write(b"".join(map(encoded, found)))
    os.rename(temporary, log)
    return found


if __name__ == "__main__":
    main(write, rewrite)
