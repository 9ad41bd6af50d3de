"""Skeletons of segments: their measures, TEASAR, and SWC files."""
