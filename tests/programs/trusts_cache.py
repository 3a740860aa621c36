"""Loses items to a power cut behind a kill: recovery shows what it has read, and syncs nothing.

What the killed run had written is in the page cache, so it is seen; it need not be on the disk.
"""

from control import main
from good_append import recover_without_sync, write

if __name__ == "__main__":
    main(write, recover_without_sync)
