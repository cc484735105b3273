"""How Ultralytics' parser treats the blocks that it speaks of, as `installed.probing` read it.

Written by `pytest tests/installed/test_parse_model.py --update-blocks`; its support says what the columns are.
"""

from __future__ import annotations

#: The release that was read.
RELEASE = "8.4.190"
#: Classes among its modules that its parser finds and has no rule for.
OTHERS = "Conv2 LRPCHead RepConv RepVGGDW"
# NAME WIDTH LETTERS ARGUMENTS
RULES = """
A2C2f              scaled   nsm,lx   c1 c2 n *1
AConv              scaled   -        c1 c2 *1
ADown              scaled   -        c1 c2 *1
AIFI               source   -        c1 *0
Bottleneck         scaled   -        c1 c2 *1
BottleneckCSP      scaled   -        c1 c2 n *1
C1                 scaled   -        c1 c2 n *1
C2                 scaled   -        c1 c2 n *1
C2PSA              scaled   -        c1 c2 n *1
C2f                scaled   -        c1 c2 n *1
C2fAttn            scaled   -        c1 c2 n ? scaled(2) *3
C2fCIB             scaled   -        c1 c2 n *1
C2fPSA             scaled   -        c1 c2 n *1
C3                 scaled   -        c1 c2 n *1
C3Ghost            scaled   -        c1 c2 n *1
C3TR               scaled   -        c1 c2 n *1
C3k2               scaled   ns,mlx   c1 c2 n *1
C3x                scaled   -        c1 c2 n *1
CBFuse             last     -        *0
CBLinear           args[0]  -        c1 *0
Classify           args[0]  -        c1 *0
Concat             sum      -        *0
Conv               scaled   -        c1 c2 *1
ConvTranspose      scaled   -        c1 c2 *1
DWConv             scaled   -        c1 c2 *1
DWConvTranspose2d  scaled   -        c1 c2 *1
Depth              previous -        0 [ch]
Detect             previous -        *0 reg_max end2end [ch]
ELAN1              scaled   -        c1 c2 *1
Focus              scaled   -        c1 c2 *1
GhostBottleneck    scaled   -        c1 c2 *1
GhostConv          scaled   -        c1 c2 *1
HGBlock            args[1]  -        c1 0 1 2 n *3
HGStem             args[1]  -        c1 *0
ImagePoolingAttn   previous -        0 [ch] *1
Index              args[0]  -        *1
OBB                previous -        *0 reg_max end2end [ch]
OBB26              previous -        *0 reg_max end2end [ch]
PSA                scaled   -        c1 c2 *1
Pose               previous -        *0 reg_max end2end [ch]
Pose26             previous -        *0 reg_max end2end [ch]
RTDETRDecoder      previous -        0 [ch] *1
RepC3              scaled   -        c1 c2 n *1
RepNCSPELAN4       scaled   -        c1 c2 *1
ResNetLayer        resnet   -        *0
SCDown             scaled   -        c1 c2 *1
SPP                scaled   -        c1 c2 *1
SPPELAN            scaled   -        c1 c2 *1
SPPF               scaled   -        c1 c2 *1
Segment            previous -        0 1 scaled(2) *3 reg_max end2end [ch]
Segment26          previous -        0 1 scaled(2) *3 reg_max end2end [ch]
SemanticSegment    previous -        *0 [ch]
TorchVision        args[0]  -        *1
WorldDetect        previous -        *0 reg_max end2end [ch]
YOLOEDetect        previous -        *0 reg_max end2end [ch]
YOLOESegment       previous -        0 1 scaled(2) *3 reg_max end2end [ch]
YOLOESegment26     previous -        0 1 scaled(2) *3 reg_max end2end [ch]
nn.BatchNorm2d     source   -        c1
nn.ConvTranspose2d scaled   -        c1 c2 *1
v10Detect          previous -        *0 [ch]
"""
