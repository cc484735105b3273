"""Checksums of what releases of Ultralytics are; written by `python tests/support/released.py WHEEL...`."""

from __future__ import annotations

#: Of the parser and the blocks of a release, see `package.digest_of`.
SOURCES = """
194ed-ec2e721b 1f184-8e50585a 23abb-3d4c19e8 25ab2-eeeb80a6 3eadd-cbaa3985 5235d-6240454e
"""
#: Of the rows of each model that a release has, see `package.model_digest`.
MODELS = """
1cd-5e598d5b 20b-6bce437b 20b-85a27244 20c-546c050a 20c-c899dde7 213-4c9f42d8 213-a7c79a7c
214-20f09515 214-7bee513e 214-aabe6e17 214-f1a0aa3c 21a-3e277b0e 222-dd8139cd 233-d4be1f5f
234-68d09187 235-0773cf39 237-330d5cb0 23b-976bea4d 23c-a18e1593 23c-fa90d1b8 23d-6dd7991c
243-a1987505 243-cf09ec8f 246-9ea712ff 24a-a2489868 24b-babbaaab 24c-d26ea237 254-94441e4b
254-cf5ada60 259-435b5eb5 259-48255fc6 25a-556cdaad 25a-d5b3654c 25f-4191089b 262-93e2bd8b
263-61e12e7c 263-8e6fc455 267-23467e0a 269-396047fd 26f-4e17d460 271-7951bee1 280-12aaf7e7
281-9cfe6cb7 281-eec11945 289-8fc6a16b 289-fae64b07 29a-67c1cfaa 29a-694297c0 2a6-d2b7bcd4
2ac-803f094e 2ad-3f9ef877 2d6-cc73ece9 2da-9c45313e 2e5-2cb054ba 2e5-70a18971 2e5-b1320051
2ed-84e412c0 2ed-ac34740a 2ed-dffad6eb 2ed-f72ab021 2f3-8b6e77ff 30b-91992e3c 31b-82dd6e37
321-0020cc0c 334-6fcf5431 334-da62afa6 3ce-a2e2f395 3ce-fc400156 45-89e8ee8c 4d5-98219ab7
4d9-388dfb96 4dd-eba04cde 4e1-ed442744 d2-323cbb3d d3-430e4c38 db-965e6a19 f1-e147a220
ff-0f4daba8
"""
