"""Edits of segments under one journal: merge, split, paint, lock, and the way back from each."""
