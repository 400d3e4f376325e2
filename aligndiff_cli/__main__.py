"""The ``aligndiff`` command, also as ``python -m aligndiff_cli``."""

from __future__ import annotations

from aligndiff_cli.cli.interrupts import leave_at_once


def main() -> None:
    """Entry point of the console script."""
    leave_at_once()  # before anything that takes its time to import
    from aligndiff_cli.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
