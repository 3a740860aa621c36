"""What the target makes of a crash.

A target and a directory go in; what recovery printed and how it ended come out.
"""
