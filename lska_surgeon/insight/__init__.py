"""What the attention does: effective receptive fields, and how far its gates are from the identity."""
