"""Kernels as judges of the persistence models.

Workloads go in; they are performed on a real file system, the power is cut, and what is found there
must be a state that the file system's model permits. Of all this, testing a program uses the file
systems alone, to confirm what was found.
"""
