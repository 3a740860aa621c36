"""A deterministic cluster: many nodes on simulated disks, network and time, in one thread.

A seed goes in; a run comes out: the events that the invariants judged, and a digest of them. Equal
seeds make equal runs. Not its business: what a node should do (`durability.invariants`), and what a
real file system may leave (`durability.crash`).
"""
