"""Whether what was recovered is right.

Promises and a recovered directory go in, violations come out.
"""
