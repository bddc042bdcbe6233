"""Files that a command line names, and what it may write: nothing that exists."""

from __future__ import annotations

import pytest

from mmdet_multigrain import launch
from mmdet_multigrain.launch import check_outputs, same_path
from mmdet_multigrain.utils.errors import ConfigError


@pytest.fixture
def old(tmp_path):
    path = tmp_path / 'old.json'
    path.write_text('old')
    return path


@pytest.mark.parametrize('replace', [False, True])
@pytest.mark.parametrize('link', [None, 'symlink_to', 'hardlink_to'])
def test_inputs_are_never_replaced(old, tmp_path, replace, link):
    out = old
    if link:
        out = tmp_path / 'link.json'
        getattr(out, link)(old)
    with pytest.raises(ConfigError, match=f'{out.name}: would replace the input'):
        check_outputs([tmp_path / 'new.json', out], inputs=[old], replace=replace)


def test_what_exists_stays_unless_asked(old, tmp_path):
    with pytest.raises(ConfigError, match=r'old.json: already exists, .*\(--force\)$'):
        check_outputs([tmp_path / 'new.json', old])
    check_outputs([old], replace=True)
    check_outputs([tmp_path / 'new.json'], inputs=[old, tmp_path / 'missing.json'])


def test_a_folder_is_no_file(tmp_path):
    for replace in (False, True):
        with pytest.raises(ConfigError, match='this is a folder; name a file in it'):
            check_outputs([tmp_path], replace=replace)


def test_none_is_no_file(old, tmp_path):
    check_outputs([None, tmp_path / 'new.json'], inputs=[None, str(old)])
    with pytest.raises(ConfigError, match='would replace the input'):
        check_outputs([None, str(old)], inputs=[None, str(old)])


def test_two_outputs_of_one_name(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=r'a.json: named for two outputs'):
        check_outputs([tmp_path / 'a.json', tmp_path / 'link' / 'a.json', tmp_path / 'b.json'])


def test_same_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert same_path('a/../b.json', tmp_path / 'b.json')
    assert same_path('https://x.org/a.pth', 'https://x.org/a.pth')
    assert not same_path('a.json', 'b.json')


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
