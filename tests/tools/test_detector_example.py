"""The example of `Detector` in docs/training.md, on a trained detector."""

from __future__ import annotations

import shutil

from PIL import Image

from ..doc_blocks import block


def test_detections_in_python(trained, garment_data, tmp_path, monkeypatch, capsys):
    run = tmp_path / 'work_dirs' / 'wgroup_lite0_fpn_custom'
    run.mkdir(parents=True)
    shutil.copy(trained.work_dir / 'wgroup_r18_fpn_synthetic.py', f'{run}/{run.name}.py')
    shutil.copy(trained.checkpoint, run / 'iter_1000.pth')
    photo = next((garment_data / 'validation' / 'image').iterdir())
    shutil.copy(photo, tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    text = block('docs/training.md', 'Detector')
    assert 'above(0.3)' in text
    exec(text.replace('above(0.3)', 'above(0.05)'), shown := {})  # it was hardly trained
    (prediction,) = shown['predictions']
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(shown['confident'].scores) > 0
    first = shown['detector'].taxonomy.classes[prediction.labels[0]]
    assert lines[0].startswith(f'{first} ') and lines[0].endswith(']')
    with Image.open('drawn.jpg') as drawn:
        assert min(drawn.size) > 300  # enlarged from 64 x 80
