"""Detectors: learn from a series, score its rows, calibrate the score."""
