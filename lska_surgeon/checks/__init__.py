"""The linter for model YAMLs that people edit: read a file, find its mistakes, propose corrections; no torch."""

from __future__ import annotations

from .correction import corrected_text
from .findings import ERROR, WARNING, Correction, Finding
from .inspection import Inspection, inspect

__all__ = ["ERROR", "WARNING", "Correction", "Finding", "Inspection", "corrected_text", "inspect"]
