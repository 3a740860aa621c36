"""Planted defects: the node with one edit in its source, and the techniques that must find it.

A defect that is documented goes in; which technique finds it, and how soon, comes out.
"""
