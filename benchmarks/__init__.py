"""Figures of speed, each beside what a user would otherwise run, measured in the same run."""
