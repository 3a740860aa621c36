"""A disk that does not do what it says: no crash, but what programs must survive all the same.

In: a target. Out: of each fault, how often it was met and what that broke. One noun for the faults
(`faults`), two ways to have them: a disk of ours in memory, for targets that take one, and a
supervisor that answers the calls of any program. Not its business: kills and power cuts by
themselves, which are `campaign`'s and `crash`'s.
"""
