"""SQLite, by way of Python's own `sqlite3`: one transaction an item, in both journal modes.

Each row is also in two indices, and some are larger than a page: a transaction changes pages that
must change together. Every few rows one is updated, so that a rollback has something to restore.
Recovery opens the database, which rolls back or replays its journal, checks its integrity and says
each row.

In WAL mode the `-shm` file is mapped. It is an index of the WAL, rebuilt by whoever opens the
database first (https://www.sqlite.org/walformat.html, 2.2), so nothing in it need be known.
"""

import os
import sqlite3
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Final

from durability.targets.contract import Call, Target
from durability.targets.item import SPEECH, contents, name_of, say

STREAM_BYTES: Final = 400_000
_CHECKPOINT_PAGES: Final = 16
_UPDATE_EVERY: Final = 5


def rollback() -> Target:
    """Return SQLite with a rollback journal, its default."""
    return of_mode("rollback", "DELETE")


def wal() -> Target:
    """Return SQLite with a write-ahead log."""
    return of_mode("wal", "WAL")


def of_mode(name: str, journal_mode: str) -> Target:
    """Return SQLite in any of its journal modes, those that keep nothing included."""
    return Target(
        name=f"sqlite-{name}",
        workload=lambda directory: Call(partial(_work, directory, journal_mode)),
        recovery=lambda directory: Call(partial(_recover, directory)),
        recovers_by_call=True,
        speech=SPEECH,
        version=sqlite3.sqlite_version,
        stream_bytes=STREAM_BYTES,
        volatile=("*-shm",),
    )


def _open(directory: str) -> sqlite3.Connection:
    database = sqlite3.connect(os.path.join(directory, "items.db"), isolation_level=None)
    database.execute("PRAGMA synchronous = FULL")
    return database


def _work(directory: str, journal_mode: str) -> None:
    """Insert rows until killed, after those that are there."""
    with closing(_open(directory)) as database:
        # It has changed the file, or failed to, only when its last row was fetched.
        database.execute(f"PRAGMA journal_mode = {journal_mode}").fetchall()
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        database.execute(
            "CREATE TABLE IF NOT EXISTS items"
            " (number INTEGER PRIMARY KEY, name TEXT UNIQUE, content BLOB UNIQUE, touched INTEGER)"
        )
        ((there,),) = database.execute("SELECT count(*) FROM items").fetchall()
        for number, content in islice(enumerate(contents(), 1), there, None):
            name = name_of(content)
            say(f"item {name}")
            database.execute("BEGIN")
            database.execute("INSERT INTO items VALUES (?, ?, ?, 0)", (number, name, content))
            if number % _UPDATE_EVERY == 0:
                database.execute(
                    "UPDATE items SET touched = touched + 1 WHERE number = ?", (number // 2,)
                )
            database.execute("COMMIT")
            say(f"ack {name}")


def _recover(directory: str) -> None:
    """Say the rows, by their content and not by their name, if the database is whole."""
    with closing(_open(directory)) as database:
        ((report,),) = database.execute("PRAGMA integrity_check(1)").fetchall()
        if report != "ok":
            raise ValueError(f"the database is damaged: {report}")
        if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'items'").fetchall():
            return
        rows = database.execute("SELECT content FROM items ORDER BY number")
        say(*(f"item {name_of(content)}" for (content,) in rows))
