"""Which config the anchors of a file are counted with."""

from __future__ import annotations

import pytest

from mmdet_multigrain.launch import anchors


@pytest.mark.parametrize('taxonomy', [None, 'deepfashion2'])
def test_the_file_replaces_the_training_annotations(monkeypatch, tmp_path, taxonomy):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(anchors, 'load_config', lambda *arguments: asked.append(arguments) or 'cfg')
    monkeypatch.setattr(
        'mmdet_multigrain.checks.anchors.anchor_coverage',
        lambda cfg, *, progress: (cfg, progress),
    )
    assert anchors.anchors_with('config.py', 'data/a.json', taxonomy) == ('cfg', True)
    folder = str(tmp_path / 'data')
    options = {'train_ann': f'{folder}/a.json', 'images': folder}
    assert asked == [('config.py', {**options, **({'taxonomy': taxonomy} if taxonomy else {})})]
