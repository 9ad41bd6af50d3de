"""Records of trainings in programs that show experiments; the only place that imports those."""
