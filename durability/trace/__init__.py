"""What a target did.

A launch goes in; every change it made to its directory, in execution order, comes out.
"""
