"""State machines to put behind a node: a key-value store and a set of queues.

Both are pure: equal commands in equal order make equal states and equal results. Their commands
have codecs that raise nothing but `raft.errors`; a command that cannot be decoded has an outcome
too, since a state machine that raises stops its node, and every other node after it.
"""
