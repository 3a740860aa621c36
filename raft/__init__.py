"""A Raft consensus library without clock, socket or thread."""
