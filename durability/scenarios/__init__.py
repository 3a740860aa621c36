"""The scenarios: each a claim about the node, put to a test of a stated size with a stated oracle.

A scenario goes in by its number, an outcome comes out: a verdict, the evidence that its faults took
effect, figures. One file a scenario; what is common to them is in `scenario.py`.
"""
