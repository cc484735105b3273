"""Checkpoints (.pt files), read without running what they carry."""
