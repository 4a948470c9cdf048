"""Calibration: what a model's layers do on data, and the firing-rate scales that follow from it."""
