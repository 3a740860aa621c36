"""What is on disk at one moment, by value: it can be compared, kept, and written down again."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from durability.trace.tree import Tree

DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Content:
    """Names and bytes below a root; paths are relative to it. Hard links count as copies."""

    files: Mapping[bytes, bytes]
    links: Mapping[bytes, bytes]
    directories: frozenset[bytes]

    @classmethod
    def of(cls, tree: Tree, known: dict[int, bytes] | None = None) -> "Content":
        """Copy what a tree holds.

        `known` holds copies of files, by their numbers, that are still right; others are added.
        """
        known = {} if known is None else known
        for file in tree.files.values():
            if file not in known:
                known[file] = bytes(tree.contents[file])
        files = {path: known[file] for path, file in tree.files.items()}
        return cls(files, dict(tree.links), frozenset(tree.directories))

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing but files, all of them directly below the root."""
        return not self.links and not self.directories

    def digest(self) -> bytes:
        """Return `DIGEST_BYTES` that no other content has."""
        digest = blake2b(digest_size=DIGEST_BYTES)
        for kind, values in (b"file", self.files), (b"link", self.links):
            for path, value in sorted(values.items()):
                digest.update(b"%b %d %d " % (kind, len(path), len(value)))
                digest.update(path)
                digest.update(value)
        for path in sorted(self.directories):
            digest.update(b"directory %d " % len(path))
            digest.update(path)
        return digest.digest()

    def write_to(self, root: bytes) -> None:
        """Create all of this below an existing empty directory."""
        for directory in sorted(self.directories):
            os.mkdir(os.path.join(root, directory))
        for path, data in self.files.items():
            with open(os.path.join(root, path), "xb", buffering=0) as file:
                file.write(data)
        for path, target in self.links.items():
            os.symlink(target, os.path.join(root, path))
