"""Telling a person or a machine.

A finished result goes in; terminal, JSON, JUnit or HTML text comes out.
"""
