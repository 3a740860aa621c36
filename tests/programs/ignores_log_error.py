"""Loses what a failed sync of its log was to write, until the next checkpoint makes up for it."""

import os
from collections.abc import Iterator
from contextlib import suppress

import careful_log
import rename_store
from control import main, say
from good_append import open_log, sync_directory


def write(directory: str, items: Iterator[str]) -> None:
    state = recover(directory)
    for text in items:
        say(f"item {text}")
        log = open_log(directory)
        careful_log.write_all(log, careful_log.record(text))
        with suppress(OSError):
            os.fsync(log)
        os.close(log)
        say(f"ack {text}")
        state.append(text)
        checkpoint(directory, state)


def checkpoint(directory: str, state: list[str]) -> None:
    """Write the whole state, which the log is then not needed for."""
    rename_store.replace(directory, "".join(f"{kept}\n" for kept in state))
    os.unlink(os.path.join(directory, "log"))
    sync_directory(directory)


def recover(directory: str) -> list[str]:
    """Return the state of the last checkpoint, and what the log has beyond it."""
    state = rename_store.recover(directory)
    return state + [text for text in careful_log.recover(directory) if text not in state]


main(write, recover)
