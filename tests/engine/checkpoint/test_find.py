"""Which checkpoint a run resumes from, whatever happened to its files."""

import random
import shutil

import pytest
import torch

from mmdet_multigrain.engine.checkpoint.find import (
    POINTER,
    check_archive,
    check_whole,
    choose_checkpoint,
    find_last_checkpoint,
)
from mmdet_multigrain.utils.errors import CheckpointError


def save(path, iteration):
    """A small checkpoint of an iteration."""
    state = dict(
        meta=dict(iter=iteration, epoch=0),
        message_hub={},
        state_dict=dict(weight=torch.arange(40.0) * iteration),
        optimizer=dict(state={}),
    )
    torch.save(state, path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of iterations 8, 9 and 10; the pointer names the last one."""
    for iteration in (8, 9, 10):
        save(tmp_path / f'iter_{iteration}.pth', iteration)
    (tmp_path / POINTER).write_text(str(tmp_path / 'iter_10.pth'))
    return tmp_path


def find(folder):
    """The name of the last checkpoint, None if there is none, and what was said."""
    lines = []
    path = find_last_checkpoint(folder, warn=lines.append)
    assert not any('\n' in line for line in lines)
    return path and path.removeprefix(f'{folder}/'), lines


def truncated(content):
    return content[: len(content) // 2]


def shortened(content):
    return content[:-1]


def flipped(content):
    """One bit of a weight."""
    weights = (torch.arange(40.0).mul(iteration).numpy().tobytes() for iteration in (9, 10))
    at = max(map(content.find, weights)) + 50
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def zeros(content):
    """What a power cut may leave of a file whose length alone was on the disk."""
    return bytes(len(content))


DAMAGE = [truncated, shortened, flipped, zeros, lambda _: b'', lambda _: b'garbage' * 99]
NAMES = ['truncated', 'shortened', 'flipped', 'zeros', 'empty', 'garbage']


def test_the_pointer_is_followed(folder):
    assert find(folder) == ('iter_10.pth', [])
    save(folder / 'iter_400.pth', 400)  # of an older run in the same folder
    (folder / 'best_a_iter_9.pth').write_bytes(b'')
    assert find(folder) == ('iter_10.pth', [])


@pytest.mark.parametrize('damage', DAMAGE, ids=NAMES)
def test_a_broken_newest_one_is_named_and_the_one_before_taken(folder, damage):
    newest = folder / 'iter_10.pth'
    newest.write_bytes(damage(newest.read_bytes()))
    name, lines = find(folder)
    assert name == 'iter_9.pth'
    assert len(lines) == 1 and lines[0].startswith(f'{newest}: not a whole checkpoint (')
    assert lines[0].endswith('; looking for the one before')


@pytest.mark.parametrize('damage', DAMAGE, ids=NAMES)
def test_two_broken_ones(folder, damage):
    for name in ('iter_10.pth', 'iter_9.pth'):
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
    save(folder / 'iter_400.pth', 400)  # beyond what the pointer has seen: the last resort
    assert find(folder)[0] == 'iter_8.pth'
    (folder / 'iter_8.pth').unlink()
    assert find(folder)[0] == 'iter_400.pth'
    (folder / 'iter_400.pth').unlink()
    with pytest.raises(CheckpointError, match=f'^{folder}: no checkpoint in it is whole; .*move'):
        find(folder)


def test_every_flipped_bit_is_noticed_or_harmless(folder):
    """Some bytes of an archive mean nothing: padding, dates."""
    path = folder / 'iter_10.pth'
    content = path.read_bytes()
    expected = torch.load(path, weights_only=True)
    rng = random.Random(0)
    noticed = 0
    for _ in range(300):
        at, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        try:
            check_whole(path)
        except CheckpointError:
            noticed += 1
            continue
        found = torch.load(path, weights_only=True)
        assert torch.equal(found['state_dict'].pop('weight'), expected['state_dict']['weight'])
        assert found == {**expected, 'state_dict': {}}
    assert noticed > 50


def test_every_cut_is_noticed(folder):
    path = folder / 'iter_10.pth'
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match='iter_10.pth: not a whole checkpoint'):
            check_archive(path)


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (None, None),
        (b'', None),
        (b'\n', None),
        (b'/', None),
        (b'\x00\xff\xfe' * 9, None),
        (b'/elsewhere/iter_10.pth', None),
        (b'a' * 5000, 'which does not exist'),
        (b'/elsewhere/iter_11.pth\n', "names 'iter_11.pth', which does not exist"),
        (b'two\nlines', None),
    ],
)
def test_pointers_of_no_use(folder, content, said):
    (folder / POINTER).unlink()
    if content is not None:
        (folder / POINTER).write_bytes(content)
    name, lines = find(folder)
    assert name == 'iter_10.pth'  # not iter_9, which comes later in the alphabet
    assert [said in line for line in lines] == ([] if said is None else [True])


def test_a_pointer_that_is_a_folder(folder):
    (folder / POINTER).unlink()
    (folder / POINTER).mkdir()
    assert find(folder) == ('iter_10.pth', [])


def test_a_moved_folder(folder, tmp_path_factory):
    moved = tmp_path_factory.mktemp('moved') / 'run'
    shutil.copytree(folder, moved)
    assert find(moved) == ('iter_10.pth', [])
    (moved / 'iter_10.pth').unlink()  # the one in the first folder is not of this run any more
    name, lines = find(moved)
    assert name == 'iter_9.pth' and 'which does not exist' in lines[0]


def test_checkpoints_in_another_folder(folder, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    (work_dir / POINTER).write_text(str(folder / 'iter_10.pth'))
    assert find_last_checkpoint(work_dir, warn=pytest.fail) == str(folder / 'iter_10.pth')
    (folder / 'iter_10.pth').write_bytes(b'')
    lines = []
    assert find_last_checkpoint(work_dir, warn=lines.append) == str(folder / 'iter_9.pth')
    assert len(lines) == 1


def test_epochs(folder):
    for path in folder.glob('iter_*'):
        path.unlink()
    save(folder / 'epoch_9.pth', 90)
    save(folder / 'epoch_10.pth', 100)
    (folder / POINTER).write_text('epoch_10.pth')
    assert find(folder) == ('epoch_10.pth', [])
    (folder / 'epoch_10.pth').write_bytes(b'')
    assert find(folder)[0] == 'epoch_9.pth'
    save(folder / 'iter_95.pth', 95)  # saved within an epoch
    assert find(folder)[0] == 'iter_95.pth'
    save(folder / 'epoch_11.pth', 110)
    assert find(folder)[0] == 'iter_95.pth'  # the pointer has not seen it


def test_names_of_another_template_are_found_by_the_pointer(folder):
    save(folder / 'step10.pth', 10)
    (folder / POINTER).write_text('step10.pth')
    assert find(folder) == ('step10.pth', [])


@pytest.mark.parametrize('others', [True, False])
def test_a_broken_one_with_a_name_of_another_template(folder, others):
    broken = folder / 'last.pth'
    broken.write_bytes(b'garbage')
    (folder / POINTER).write_text(str(broken))
    if others:
        name, lines = find(folder)
        assert name == 'iter_10.pth' and lines[0].startswith(f'{broken}: not a whole checkpoint (')
        return
    for path in folder.glob('iter_*'):
        path.unlink()
    with pytest.raises(CheckpointError, match=f'^{folder}: no checkpoint in it is whole; copy'):
        find(folder)


def test_no_checkpoint(tmp_path):
    assert find(tmp_path) == (None, [])
    assert find(tmp_path / 'absent') == (None, [])
    (tmp_path / POINTER).write_text('/elsewhere/iter_1.pth')
    name, lines = find(tmp_path)
    assert name is None and "names 'iter_1.pth', which does not exist" in lines[0]
    (tmp_path / 'best_coco_iter_1.pth').write_bytes(b'')  # has no optimizer
    assert find(tmp_path)[0] is None


def test_what_is_no_training_state(folder):
    torch.save(dict(weight=torch.zeros(1)), folder / 'iter_10.pth')
    name, lines = find(folder)
    assert name == 'iter_9.pth' and 'does not say how long it was trained' in lines[0]


def test_files_of_older_versions_of_torch_are_read(folder):
    content = torch.load(folder / 'iter_10.pth', weights_only=True)
    torch.save(content, folder / 'iter_10.pth', _use_new_zipfile_serialization=False)
    assert find(folder) == ('iter_10.pth', [])


def test_a_named_checkpoint_is_verified(folder):
    broken, good = folder / 'iter_10.pth', folder / 'iter_9.pth'
    assert choose_checkpoint(str(good), 'elsewhere', warn=pytest.fail) == str(good)
    assert choose_checkpoint('https://a/b.pth', folder, warn=pytest.fail) == 'https://a/b.pth'
    broken.write_bytes(broken.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=rf'^{broken}: not a .*; {good} is complete$'):
        choose_checkpoint(str(broken), 'elsewhere', warn=pytest.fail)


def test_without_a_name_it_is_the_last_in_the_work_folder(folder, tmp_path_factory):
    assert choose_checkpoint(None, folder, warn=pytest.fail) == str(folder / 'iter_10.pth')
    empty, lines = tmp_path_factory.mktemp('empty'), []
    assert choose_checkpoint(None, empty, warn=lines.append) is None
    assert lines == [f'{empty}: no checkpoint to resume from; starting from the beginning']
