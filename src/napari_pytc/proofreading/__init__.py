"""Edits of segments under one journal: merge, split, paint, lock, all with undo."""
