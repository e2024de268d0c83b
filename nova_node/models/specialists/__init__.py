"""Reviewers and writers: a prompt pack each, put to a diff or to files, with findings that were checked.

Rule: pure but for `work`. A finding counts only if what it points at is there.
"""
