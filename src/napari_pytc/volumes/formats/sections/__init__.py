"""Folders of numbered sections, one image file each."""
