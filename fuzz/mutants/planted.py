"""The planted defects: decoders and a recovery that are wrong in one known way each.

The first sixteen are the kinds by which fuzzing engines were compared before this project used one.
A `catalogue` number is that of a defect which a real implementation had.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class PlantedDefect:
    """One defect: in the file `path`, `old`, which occurs there once, becomes `new`."""

    name: str
    target: str
    path: str
    old: str
    new: str
    catalogue: str = ""


PLANTED: Final = (
    PlantedDefect(
        "allocates-before-bound",
        "message",
        "raft/message.py",
        "        if size > max_payload_bytes:\n",
        "        bytes(size)\n        if size > max_payload_bytes:\n",
        "D32",
    ),
    PlantedDefect(
        "enum-value-error",
        "message",
        "raft/message.py",
        "        if message_type >= len(_TYPES):\n"
        '            raise InvalidFieldError(f"message type {message_type} is not known")\n',
        "        message_type = MessageType(message_type)\n",
    ),
    PlantedDefect(
        "unicode-error",
        "peer",
        "raft/peer.py",
        "        except UnicodeDecodeError as error:\n",
        "        except LookupError as error:\n",
    ),
    PlantedDefect(
        "struct-error",
        "message",
        "raft/message.py",
        "        if len(data) < _HEADER.size:\n",
        "        if not data:\n",
    ),
    PlantedDefect(
        "endless-loop",
        "message",
        "raft/message.py",
        "        for _ in range(self.entries_count):\n",
        "        while offset < len(self.data):\n"
        "            if self.entries_count == 0:\n"
        "                continue\n",
    ),
    PlantedDefect(
        "trailing-bytes-accepted",
        "message",
        "raft/message.py",
        "        if excess > 0:\n",
        "        if excess > 2**40:\n",
    ),
    PlantedDefect(
        "end-wraps-at-32-bits",
        "message",
        "raft/log_entry.py",
        "        end = start + size\n",
        "        end = (start + size) % 2**32\n",
    ),
    PlantedDefect(
        "recursion-per-entry",
        "message",
        "raft/message.py",
        "        for _ in range(self.entries_count):\n"
        "            # No limit beside the data's own size: this much has been permitted already.\n"
        "            entry, offset = LogEntry.decode_from(self.data, offset, 2**32)\n"
        "            entries.append(entry)\n",
        "        def decode_rest(offset: int, left: int) -> int:\n"
        "            if left == 0:\n"
        "                return offset\n"
        "            entry, offset = LogEntry.decode_from(self.data, offset, 2**32)\n"
        "            entries.append(entry)\n"
        "            return decode_rest(offset, left - 1)\n\n"
        "        offset = decode_rest(0, self.entries_count)\n",
    ),
    PlantedDefect(
        "role-index-error",
        "peer",
        "raft/peer.py",
        "        if role >= len(_ROLES):\n",
        "        if role > len(_ROLES):\n",
    ),
    PlantedDefect(
        "address-short-by-one",
        "peer_list",
        "raft/peer.py",
        "        if end > len(buffer):\n",
        "        if end > len(buffer) + 1:\n",
    ),
    PlantedDefect(
        "no-payload-limit",
        "message",
        "raft/message.py",
        "        if size > max_payload_bytes:\n",
        "        if size > 2**32:\n",
    ),
    PlantedDefect(
        "flag-above-one-accepted",
        "message",
        "raft/message.py",
        "        if success > 1:\n",
        "        if success > 254:\n",
    ),
    PlantedDefect(
        "relation-of-two-fields",
        "message",
        "raft/message.py",
        "        if success > 1:\n",
        "        1 // (prev_log_index - commit_index - 1)\n        if success > 1:\n",
    ),
    PlantedDefect(
        "list-of-claimed-length",
        "message",
        "raft/message.py",
        "        entries: list[LogEntry] = []\n",
        "        [None] * self.entries_count\n        entries: list[LogEntry] = []\n",
        "D32",
    ),
    PlantedDefect(
        "signed-index",
        "log_entry",
        "raft/log_entry.py",
        '_HEADER = struct.Struct("<QQBI")\n',
        '_HEADER = struct.Struct("<QqBI")\n',
    ),
    PlantedDefect(
        "magic-behind-two-conditions",
        "message",
        "raft/message.py",
        "        if success > 1:\n",
        "        if message_type == 2 and success and term == 0x5CA1AB1E0DDBA11:\n"
        "            raise RuntimeError\n"
        "        if success > 1:\n",
    ),
    PlantedDefect(
        "any-version-accepted",
        "message",
        "raft/message.py",
        "        if version != cls.protocol_version:\n",
        "        if version == 0:\n",
    ),
    PlantedDefect(
        "entry-allocates-before-bound",
        "log_entry",
        "raft/log_entry.py",
        "        if size > max_payload_bytes:\n",
        "        bytearray(size)\n        if size > max_payload_bytes:\n",
        "D32",
    ),
    PlantedDefect(
        "peer-listed-twice",
        "peer_list",
        "raft/peer.py",
        "        if peer.id in peers:\n",
        "        if peer.id in peers and peer.id == 0:\n",
    ),
    PlantedDefect(
        "peer-count-of-one-byte",
        "peer_list",
        "raft/peer.py",
        "    for _ in range(count):\n",
        "    for _ in range(min(count, 255)):\n",
    ),
    PlantedDefect(
        "metadata-checksum-ignored",
        "metadata",
        "raft/metadata.py",
        "!= (crc32c(data[: _BODY.size]),):\n",
        "== ():\n",
    ),
    PlantedDefect(
        "vote-without-flag",
        "metadata",
        "raft/metadata.py",
        "        if has_vote > 1 or (voted_for and not has_vote):\n",
        "        if has_vote > 1:\n",
    ),
    PlantedDefect(
        "older-version-accepted",
        "metadata",
        "raft/preamble.py",
        "    if version != FORMAT_VERSION:\n",
        "    if version > FORMAT_VERSION:\n",
    ),
    PlantedDefect(
        "bytes-after-snapshot",
        "snapshot",
        "raft/snapshot.py",
        "_U32.size + _END.size + 1)",
        "_U32.size + _END.size)",
    ),
    PlantedDefect(
        "snapshot-of-another-directory",
        "snapshot",
        "raft/snapshot.py",
        "            if snapshot.directory_id != directory_id:\n",
        "            if snapshot.directory_id == 0:\n",
    ),
    PlantedDefect(
        "segment-of-another-directory",
        "segment",
        "raft/segment.py",
        "    if (owner, index, reserved) != (directory_id, first_index, 0):\n",
        "    if (index, reserved) != (first_index, 0):\n",
    ),
    PlantedDefect(
        "record-checksum-ignored",
        "segment",
        "raft/segment.py",
        "    if crc32c(view[offset + _CRC.size : end], seed) != crc:\n",
        "    if crc == 0:\n",
        "D15",
    ),
    PlantedDefect(
        "term-falls",
        "segment",
        "raft/segment.py",
        "    if claimed_index != index or term < previous_term:\n",
        "    if claimed_index != index:\n",
    ),
    PlantedDefect(
        "term-zero-after-torn-first-record",
        "segment",
        "raft/segment.py",
        "    index, term, crc = claimed.index, claimed.term, claimed.crc\n",
        "    index, term, crc = claimed.index, 0, claimed.crc\n",
        "D20",
    ),
    PlantedDefect(
        "durable-record-dropped",
        "recovery",
        "raft/recovery.py",
        "    if flaw.index > survey.durable_index:\n",
        "    if flaw.index >= survey.durable_index:\n",
        "D15",
    ),
    PlantedDefect(
        "records-behind-rot-not-asked",
        "recovery",
        "raft/recovery.py",
        "        if survey.flaw and segment.flaw and survey.durable_index < survey.flaw.index:\n",
        "        if survey.flaw is None and segment.flaw:\n",
        "D44",
    ),
    PlantedDefect(
        "bad-tail-left-in-place",
        "recovery",
        "raft/recovery.py",
        "        if file.size() > segment.end:\n",
        "        if file.size() > segment.end + 100:\n",
        "D46",
    ),
    PlantedDefect(
        "one-temporary-left",
        "recovery",
        "raft/recovery.py",
        "    for name in sorted(temporaries):\n",
        "    for name in sorted(temporaries)[:1]:\n",
    ),
    PlantedDefect(
        "term-beyond-metadata",
        "recovery",
        "raft/recovery.py",
        "    if last.term > metadata.current_term:\n",
        "    if last.term > 2**64:\n",
    ),
    PlantedDefect(
        "rot-given-up-and-not-written-down",
        "recovery",
        "raft/recovery.py",
        "        metadata, current_term=term, voted_for=None, durable_index=INCOMPLETE\n",
        "        metadata, current_term=term, voted_for=None\n",
        "D44",
    ),
    PlantedDefect(
        "half-of-a-batch-stored",
        "append_batch",
        "raft/follower.py",
        "        entries = _decode_entries(message)\n",
        "        offset = 0\n"
        "        while offset < len(message.data):\n"
        "            entry, offset = LogEntry.decode_from(message.data, offset)\n"
        "            if entry.index == log.last_index + 1 and entry.type is EntryType.NORMAL:\n"
        "                replica.append([entry])\n"
        "        entries = _decode_entries(message)\n",
        "D30",
    ),
    PlantedDefect(
        "decode-error-leaves-step",
        "append_batch",
        "raft/member.py",
        "            except DecodeError:\n",
        "            except LookupError:\n",
        "D30",
    ),
    PlantedDefect(
        "batch-from-a-later-term-stored",
        "append_batch",
        "raft/follower.py",
        "previous.term <= entry.term <= message.term",
        "previous.term <= entry.term",
    ),
    PlantedDefect(
        "another-entry-than-the-committed-one",
        "append_batch",
        "raft/follower.py",
        "            if term != committed_term:\n",
        "            if term is None:\n",
    ),
    PlantedDefect(
        "kind-of-command-taken-modulo",
        "commands",
        "raft/examples/queue.py",
        "    match data[0]:\n",
        "    match data[0] % 128:\n",
    ),
    PlantedDefect(
        "acknowledged-beyond-what-was-verified",
        "node_steps",
        "raft/follower.py",
        "        self._respond(message, success=True, index=verified)\n",
        "        self._respond(message, success=True, index=log.last_index)\n",
        "D02",
    ),
    PlantedDefect(
        "votes-twice-in-a-term",
        "node_steps",
        "raft/member.py",
        "        is_free = is_later or storage.metadata.voted_for in (None, message.sender)\n",
        "        is_free = True\n",
    ),
    PlantedDefect(
        "heartbeat-as-long-as-timeout",
        "config",
        "raft/config.py",
        "        if self.heartbeat_interval_ticks >= self.election_timeout_ticks_min:\n",
        "        if self.heartbeat_interval_ticks > self.election_timeout_ticks_min:\n",
        "D31",
    ),
    PlantedDefect(
        "chunk-above-payload-limit",
        "config",
        "raft/config.py",
        '        for name in ("max_append_entries_bytes", "snapshot_chunk_bytes"):\n',
        '        for name in ("max_append_entries_bytes",):\n',
        "D31",
    ),
    PlantedDefect(
        "line-cut-in-a-number-accepted",
        "history_file",
        "durability/history/jepsen.py",
        '    if not line.endswith("\\n"):\n',
        "    if not line:\n",
    ),
    PlantedDefect(
        "process-after-info-accepted",
        "history_file",
        "durability/history/well_formed.py",
        "            over[event.process] = line\n",
        "            over[-1] = line\n",
    ),
    PlantedDefect(
        "function-looked-up-whatever-it-is",
        "history_file",
        "durability/history/jepsen.py",
        '    if isinstance(found.get("f"), str):\n'
        '        found["f"] = _FUNCTIONS.get(str(found["f"]), found["f"])\n',
        '    found["f"] = _FUNCTIONS.get(found.get("f"), found.get("f"))\n',
    ),
    PlantedDefect(
        "forms-of-any-depth",
        "history_file",
        "durability/history/edn.py",
        "        if depth > DEPTH_MAX:\n",
        "        if depth > 2**20:\n",
    ),
    PlantedDefect(
        "answer-to-another-key-accepted",
        "history_file",
        "durability/history/well_formed.py",
        "(answer.f, answer.key) != (invoked.f, invoked.key)",
        "answer.f != invoked.f",
    ),
    PlantedDefect(
        "answer-with-another-value-accepted",
        "history_file",
        "durability/history/well_formed.py",
        "(Function.WRITE, Function.CAS, Function.ENQUEUE, Function.APPEND)",
        "()",
    ),
    PlantedDefect(
        "answer-of-true-taken-for-one",
        "history_file",
        "durability/history/well_formed.py",
        "repr(answer.value) != repr(invoked.value)",
        "answer.value != invoked.value",
    ),
    PlantedDefect(
        "item-of-nothing-taken-for-none",
        "toml_target",
        "durability/targets/program.py",
        "        announced=None if item is None else",
        "        announced=None if not item else",
    ),
    PlantedDefect(
        "client-told-another-port",
        "toml_target",
        "durability/targets/program.py",
        "client.filled(values), _ready(",
        "client.filled(_values(directory, client.texts())), _ready(",
    ),
    PlantedDefect(
        "compression-error-leaves-reader",
        "trace_file",
        "durability/trace/trace.py",
        "    except (zstandard.ZstdError, msgspec.MsgspecError,",
        "    except (msgspec.MsgspecError,",
    ),
)
