"""Many runs.

One of them: a cycle of run, kill, recovery and audit, or a batch of crash states that are recovered
and judged. Many: independent, seeded work items go in, and what became of them comes out as it is
done.
"""
