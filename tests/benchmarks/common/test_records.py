"""What figures were measured with: nothing in it tells of one machine's folders."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.common.records import command
from mmdet_multigrain.utils.nested import dicts

FIGURES = Path(__file__).resolve().parents[3] / 'docs' / 'benchmarks'


def test_absolute_paths_keep_their_last_name():
    arguments = [
        'configs/a.py',
        '--out',
        '/home/me/runs/a b.json',
        '--scale',
        '320x240',
        '--data',
        '/d/',
        'data_root=/home/me/data',
        'max_iters=3',
    ]
    assert command('benchmarks.speed.detectors', arguments) == (
        "python -m benchmarks.speed.detectors configs/a.py --out 'a b.json' --scale 320x240 --data d "
        'data_root=data max_iters=3'
    )


def test_no_stored_figure_has_a_path_of_a_machine():
    stored = [json.loads(path.read_text('utf-8')) for path in FIGURES.glob('*.json')]
    commands = [str(part['command']) for part in dicts(stored) if 'command' in part]
    assert len(commands) >= 2
    assert [text for text in commands if re.search(r'(^|[\s=\'"])/', text)] == []
