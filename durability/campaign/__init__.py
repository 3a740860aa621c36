"""Many runs.

Independent, seeded work items go in; their results come out as they are done.
"""
