"""Code in a process of its own, which has imported nothing yet."""

from __future__ import annotations

import os
import subprocess
import sys


def fresh(code: str, *words: str, given: str | None = None, **environment: str) -> str:
    """What a new process prints; it must end well."""
    command, env = [sys.executable, "-c", code, *words], {**os.environ, **environment}
    done = subprocess.run(command, env=env, input=given, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
