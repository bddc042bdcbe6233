"""Runs a script in two processes at once, as the two ranks of a distributed run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_two(script: str, folder: Path) -> None:
    """Run a script as rank 0 and 1, with the repository, a folder and the rank as its arguments."""
    path = folder / 'worker.py'
    path.write_text(script)
    workers = [
        subprocess.Popen(
            [sys.executable, path, ROOT, folder, str(rank)],
            cwd=folder,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for worker in workers:
            output, _ = worker.communicate(timeout=120)
            assert worker.returncode == 0, output
    finally:
        for worker in workers:
            worker.kill()
