"""Tuning of decoders on truth: which settings score best, found by trials that a study on disk keeps."""
