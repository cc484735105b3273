"""The operators and host blocks, as torch modules; importing this makes their names known to Ultralytics.

So does unpickling a checkpoint that holds one: the blocks are pickled as `lska_surgeon.nn.LSKA` and the like. That path
is permanent, whichever file of this package defines the class.
"""

from __future__ import annotations

from .blocks import (
    BLOCK_CLASSES,
    C3LSKA,
    SPPELANLSKA,
    SPPFLSKA,
    SPPLSKA,
    A2C2fLSKA,
    BottleneckLSKA,
    C2f_LSKA_Attention,
    C2fLSKA,
    C3_LSKA_Attention,
    C3k2_LSKA_Attention,
    C3k2LSKA,
    Host,
    RepBottleneckLSKA,
    RepNCSPELAN4LSKA,
    attach,
)
from .operators import (
    CBAM,
    LKA,
    LSKA,
    DilatedKernels,
    DilatedReparam,
    Gated,
    LKATrivial,
    LSKAAttention,
    LSKATrivial,
    Operator,
    Plain,
    Strip,
    Timm,
    build_operator,
    named_operators,
)
from .parsing import register
from .rows import Bypass, TimmFeatures

__all__ = [
    "BLOCK_CLASSES",
    "C3LSKA",
    "CBAM",
    "LKA",
    "LSKA",
    "SPPELANLSKA",
    "SPPFLSKA",
    "SPPLSKA",
    "A2C2fLSKA",
    "BottleneckLSKA",
    "Bypass",
    "C2fLSKA",
    "C2f_LSKA_Attention",
    "C3_LSKA_Attention",
    "C3k2LSKA",
    "C3k2_LSKA_Attention",
    "DilatedKernels",
    "DilatedReparam",
    "Gated",
    "Host",
    "LKATrivial",
    "LSKAAttention",
    "LSKATrivial",
    "Operator",
    "Plain",
    "RepBottleneckLSKA",
    "RepNCSPELAN4LSKA",
    "Strip",
    "Timm",
    "TimmFeatures",
    "attach",
    "build_operator",
    "named_operators",
    "register",
]

for _block in BLOCK_CLASSES:
    _block.__module__ = __name__
    globals()[_block.__name__] = _block
register()
