"""Whether the fuzzing would notice: defects planted on purpose, and who finds each how soon.

In goes a defect as an edit of the source; out comes, for each technique, after how many executions
it was found. The source itself is never changed: a copy of the package is.
"""
