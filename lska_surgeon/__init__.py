"""Model surgery for YOLO: put Large Separable Kernel Attention into Ultralytics model YAMLs; imports no torch."""

__version__ = "0.1.0"
