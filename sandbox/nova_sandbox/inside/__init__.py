"""What runs inside a container: its main process, sent there as source text by profile.py.

Rule for all of this package: standard library only, nothing of the rest of nova_sandbox, one thread,
and no trust in the program.
"""
