"""An output folder is there with everything in it, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmdet_multigrain.export.folder import check_new, whole_folder
from mmdet_multigrain.utils.errors import ExportError


@pytest.mark.parametrize('empty_one', [False, True])
def test_all_files_appear_at_the_end(tmp_path, empty_one):
    target = tmp_path / 'a' / 'b'
    if empty_one:
        target.mkdir(parents=True)
    with whole_folder(target) as folder:
        (folder / 'x').write_text('x')
        assert not target.exists() or not any(target.iterdir())
    assert [path.name for path in target.parent.iterdir()] == ['b']
    assert (target / 'x').read_text() == 'x'


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path, error):
    with pytest.raises(error), whole_folder(tmp_path / 'a' / 'b' / 'c') as folder:
        (folder / 'x').write_text('x')
        raise error
    assert not any(tmp_path.iterdir())


def test_what_is_there_stays(tmp_path):
    (tmp_path / 'mine.txt').write_text('x')
    for target in (tmp_path, tmp_path / 'mine.txt'):
        with pytest.raises(ExportError, match='already exists; name a new folder'):
            with whole_folder(target):
                pass
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_what_cannot_be_replaced_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mounted').mkdir()
    monkeypatch.setattr(os.path, 'ismount', lambda path: Path(path).name == 'mounted')
    for name in ('.', 'mounted'):
        with pytest.raises(ExportError, match=f'--out {name}: already exists; name a new folder'):
            check_new(Path(name))


@pytest.mark.parametrize('exists', [False, True])
def test_a_link_to_a_folder_stays(tmp_path, exists):
    (tmp_path / 'link').symlink_to(tmp_path / 'real')
    if exists:
        (tmp_path / 'real').mkdir()
    with whole_folder(tmp_path / 'link') as folder:
        (folder / 'x').write_text('x')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'real' / 'x').read_text() == 'x'


def test_parents_that_existed_or_got_files_stay(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(ValueError), whole_folder(tmp_path / 'a' / 'b' / 'c'):
        (tmp_path / 'a' / 'b' / 'other').write_text('x')
        raise ValueError
    assert (tmp_path / 'a' / 'b' / 'other').exists()
    assert [path.name for path in (tmp_path / 'a' / 'b').iterdir()] == ['other']
    with pytest.raises(ValueError), whole_folder(tmp_path / 'a' / 'd'):
        raise ValueError
    assert (tmp_path / 'a').is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ExportError, match='out: cannot be written'):
        with whole_folder(tmp_path / 'file' / 'out'):
            pass
