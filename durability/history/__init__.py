"""What clients saw: histories that were recorded, here or elsewhere, as one kind of event.

Files in any of three notations go in, well-formed sequences of events come out, each with its line.
"""
