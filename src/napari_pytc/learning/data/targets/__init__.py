"""Targets of channels from the labels of a patch, and where the labels decide them."""
