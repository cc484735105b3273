"""Let `python -m lska_surgeon` do what the `lska-surgeon` command does; it knows nothing else."""

from .cli.main import main

if __name__ == "__main__":
    main()
