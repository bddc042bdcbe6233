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


def test_files_of_other_kinds(tmp_path):
    (tmp_path / 'a.json').touch()
    assert launch.check_file(str(tmp_path / 'a.json'), 'file') == tmp_path / 'a.json'
    with pytest.raises(ValueError, match="b.json: no such thing; did you mean 'a.json'"):
        launch.check_file(tmp_path / 'b.json', 'thing')
    with pytest.raises(ValueError, match='zz.yaml: no such thing; check the path'):
        launch.check_file(tmp_path / 'zz.yaml', 'thing')
