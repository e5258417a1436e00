"""Samples of the metrics of pods, and the one value per object and metric that follows from them: pure."""
