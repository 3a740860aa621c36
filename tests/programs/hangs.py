"""Breaks `recovery-hung`: it waits for the owner of a temporary file, who is dead."""

import os
import time

import rename_store
from control import main
from rename_store import write


def recover(directory: str) -> list[str]:
    while os.path.exists(os.path.join(directory, "state.tmp")):
        time.sleep(0.01)
    return rename_store.recover(directory)


main(write, recover)
