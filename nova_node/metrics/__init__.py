"""What a node records about itself, as pure parts: the shapes of rows, and what is read out of them.

Rule: no I/O, no clock. Metrics may be lost, are never waited for, and decide nothing.
"""
