"""Implementations of `VolumeSource`, one file a format."""
