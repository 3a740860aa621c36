"""A second decoder of every format, written from docs alone, in `construct` if it is binary.

It is slow, and does not stop at the first fault: it returns the value, or all faults that the bytes
have, any of which a decoder may name. It shares the classes of the values with the decoders under
test, and nothing that reads bytes.
"""
