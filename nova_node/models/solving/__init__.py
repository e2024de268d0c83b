"""From a description to Python that was seen to work: write, run in a sandbox, repair, within bounds.

Rule: pure but for `work`. Text of a model becomes a program, or part of a prompt; it never becomes
a name, a limit, or a decision.
"""
