"""A process of our own: what the `lska-surgeon` command runs, and `python -m lska_surgeon`."""

import gc

gc.set_threshold(100_000)  # before the imports, of which all stay; few commands make as many objects as are worth it

from .cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
