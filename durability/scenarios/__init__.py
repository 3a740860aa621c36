"""The scenarios: each a claim about the node, put to a test of a stated size with a stated oracle.

A scenario goes in by its number, an outcome comes out: a verdict, the evidence that its faults took
effect, figures. One file a scenario; `running.py` runs them, `scenario.py` is what they are given
and give back, `voters.py` a group of nodes whose proposals are timed.
"""
