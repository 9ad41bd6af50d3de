"""Exports of volumes of any size, written block by block under a temporary name, then renamed."""
