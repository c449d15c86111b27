"""Measurements of speed and memory; ``python -m benchmarks`` runs them all. README.md says how to read the
output."""
