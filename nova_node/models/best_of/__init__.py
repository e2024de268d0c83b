"""Several answers to one prompt, of which one is chosen: by a named judge, or by a vote of their models.

Rule: pure but for `work`. All that a juror can do is to name the number of an answer.
"""
