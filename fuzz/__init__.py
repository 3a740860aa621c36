"""Coverage-guided fuzzing of everything that reads bytes.

In go bytes; out comes a finding wherever a law of the format is broken: a wrong error class, a
second encoding of the same value, an entry that recovery lost. `targets` say what is fuzzed and by
which laws; `engine` runs one of them under atheris, and everything else works without it.
How the decoded values are used is not the business of this package.
"""
