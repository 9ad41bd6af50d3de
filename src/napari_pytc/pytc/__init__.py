"""Configurations of PyTorch Connectomics, translated into plans; without torch."""
