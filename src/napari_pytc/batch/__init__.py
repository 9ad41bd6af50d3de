"""Models applied to many files, without a project."""
