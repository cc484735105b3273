"""The linter for model YAMLs that people edit: read a file, find its errors, propose corrections; no torch."""

from __future__ import annotations

from .check import RULES, check_file
from .findings import ERROR, WARNING, CheckedFile, Correction, Finding, corrected_text

__all__ = ["ERROR", "RULES", "WARNING", "CheckedFile", "Correction", "Finding", "check_file", "corrected_text"]
