"""Exports of checkpoints: folded where that is exact, written by Ultralytics' exporter, and proven beside torch."""
