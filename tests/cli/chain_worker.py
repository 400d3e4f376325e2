"""One of a launcher's workers, which runs several commands one after another: starting a process is what takes long.

    torchrun --nproc-per-node 2 tests/cli/chain_worker.py COMMANDS.json

Writes its process id to ``pid.RANK`` beside the file of commands.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from aligndiff_cli.cli.main import app

if __name__ == "__main__":
    commands = Path(sys.argv[1])
    commands.with_name(f"pid.{os.environ['RANK']}").write_text(str(os.getpid()))
    for arguments in json.loads(commands.read_text()):
        if code := app(arguments, standalone_mode=False):
            sys.exit(code)
