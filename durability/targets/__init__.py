"""What is tested: a name or a TOML file goes in, a `Target` comes out.

Knows nothing of tracing or of auditing.
"""
