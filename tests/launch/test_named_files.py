"""Files that a command line names."""

import pytest

from mmdet_multigrain import launch


def test_checkpoints(tmp_path):
    for name in ('iter_100.pth', 'iter_200.pth', 'log.json'):
        (tmp_path / name).touch()
    launch.check_checkpoint(tmp_path / 'iter_100.pth')
    launch.check_checkpoint('https://example.org/a.pth')
    with pytest.raises(ValueError, match='iter_300.pth: no such check.*; did you mean') as caught:
        launch.check_checkpoint(tmp_path / 'iter_300.pth')
    assert 'log.json' not in str(caught.value)
    with pytest.raises(ValueError, match='this is a folder; name a checkpoint in it'):
        launch.check_checkpoint(tmp_path)
