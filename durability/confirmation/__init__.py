"""Findings, confirmed: what a model permits is made to happen on a real file system.

A trace and a state in which something was broken go in; the run is performed again on the file
system that the state's model is of, the power is cut, and the target recovers what is there. Which
states there are, and which of them is broken, is found out before (`campaign/`).
"""
