"""The command lines of the dataset converters: output, messages, exit status."""

import contextlib
import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(ROOT)}
SMALL = ('--num-train', '14', '--num-val', '3', '--image-size', '64x80')


def command(tool):
    return [sys.executable, str(ROOT / 'tools' / 'dataset_converters' / f'{tool}.py')]


def run(tool, *arguments, **options):
    return subprocess.run(
        [*command(tool), *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        **options,
    )


def fails(tool, *arguments, status=2, **options):
    """The one line of an error."""
    result = run(tool, *arguments, **options)
    assert result.returncode == status and 'Traceback' not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert 'error: ' in line
    return line


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'synthetic'
    result = run('make_synthetic_deepfashion2', out, *SMALL, '--workers', 2)
    assert result.returncode == 0 and '17 of 17 pictures written' in result.stdout
    return out


def test_second_call_says_that_the_set_is_complete(drawn):
    result = run('make_synthetic_deepfashion2', drawn, *SMALL)
    assert result.returncode == 0 and 'complete already' in result.stdout


def test_generator_refuses_other_arguments(drawn):
    line = fails('make_synthetic_deepfashion2', drawn, *SMALL, '--seed', 1)
    assert 'other arguments (seed 0)' in line


@pytest.mark.parametrize(
    'arguments',
    [
        ('--image-size', 'large'),
        ('--image-size', '20'),
        ('--num-train', '-1'),
        ('--difficulty', 'none'),
        ('--seed', '-2'),
    ],
)
def test_generator_refuses_wrong_arguments(tmp_path, arguments):
    fails('make_synthetic_deepfashion2', tmp_path / 'new', *arguments)
    assert not (tmp_path / 'new').exists()


def test_image_size_may_be_a_height(tmp_path):
    run(
        'make_synthetic_deepfashion2',
        tmp_path,
        '--num-train',
        1,
        '--num-val',
        0,
        '--image-size',
        100,
    )
    manifest = json.loads((tmp_path / 'synthetic.json').read_text())
    assert (manifest['width'], manifest['height']) == (80, 100)


def test_conversion_of_both_splits(drawn):
    result = run('deepfashion2', drawn)
    assert result.returncode == 0
    assert 'train: 14 images' in result.stdout and 'validation: 3 images' in result.stdout
    for split, count in (('train', 14), ('validation', 3)):
        coco = json.loads((drawn / 'annotations' / f'{split}.json').read_bytes())
        assert len(coco['images']) == count and len(coco['categories']) == 13


def test_conversion_options(drawn, tmp_path):
    result = run(
        'deepfashion2',
        drawn,
        '--splits',
        'validation',
        '--out-dir',
        tmp_path,
        '--with-segmentation',
    )
    assert result.returncode == 0
    assert os.listdir(tmp_path) == ['validation.json']
    coco = json.loads((tmp_path / 'validation.json').read_bytes())
    assert all(a['segmentation'] for a in coco['annotations'])


def test_second_conversion_says_that_nothing_is_to_do(drawn, tmp_path):
    run('deepfashion2', drawn, '--out', tmp_path)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()]
    result = run('deepfashion2', drawn, '--out', tmp_path)
    assert result.stdout.splitlines() == [
        f'{split}: {tmp_path}/{split}.json is up to date (--force converts it again)'
        for split in ('train', 'validation')
    ]
    assert before == [(path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()]
    result = run('deepfashion2', drawn, '--out', tmp_path, '--force', '--workers', 2)
    assert 'train: 14 images' in result.stdout
    assert [content for content, _ in before] == [path.read_bytes() for path in tmp_path.iterdir()]


@pytest.mark.parametrize('workers', ['0', '-1', 'all', '1.5'])
def test_conversion_refuses_wrong_numbers_of_processes(drawn, workers):
    assert f'{workers!r} is not a whole number' in fails(
        'deepfashion2', drawn, f'--workers={workers}'
    )


def test_conversion_onto_a_full_disk(drawn, tmp_path):
    """The system refuses to let a file grow beyond a limit, as it does on a full disk."""
    limit = (1500, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    line = fails(
        'deepfashion2',
        drawn,
        '--out',
        tmp_path / 'new',
        preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, limit),
    )
    assert line == f'error: {tmp_path}/new/train.json: cannot be written (File too large)'
    assert not (tmp_path / 'new').exists()


@pytest.fixture
def stuck(drawn, tmp_path):
    """A conversion by two processes, one of which hangs: its annotation file is a pipe."""
    shutil.copytree(drawn / 'train', tmp_path / 'train')
    pipe = tmp_path / 'train' / 'annos' / '000007.json'
    pipe.unlink()
    os.mkfifo(pipe)
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations' / 'train.json').write_text('old')
    process = subprocess.Popen(
        [*command('deepfashion2'), str(tmp_path), '--splits', 'train', '--workers', '2', '--force'],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: len(os.listdir(tmp_path / 'annotations')) == 2)
        yield process, tmp_path / 'annotations'
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(condition, seconds=20):
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'it did not happen'
        time.sleep(0.02)


def living(group):
    """The processes of a group; those that have ended and wait for their parent do not count."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):  # it has just ended
            state, _, its_group = path.read_text().rpartition(')')[2].split()[:3]
            found += [path.parent.name] if int(its_group) == group and state != 'Z' else []
    return found


def children(pid):
    """The processes that a process started."""
    return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def nothing_is_left(process, folder):
    """No process of the group, no file but the old one."""
    wait_until(lambda: not living(process.pid))
    assert os.listdir(folder) == ['train.json']
    assert (folder / 'train.json').read_text() == 'old'


def test_interrupted_conversion_says_so_in_one_line(stuck):
    process, folder = stuck
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130 and 'Traceback' not in stderr
    assert stderr.splitlines()[-1] == f'interrupted; {folder}/train.json was not written'
    nothing_is_left(process, folder)


def test_killed_worker_is_one_line(stuck):
    process, folder = stuck
    workers = children(process.pid)
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 2 and 'Traceback' not in stderr
    assert stderr.splitlines()[-1].startswith('error: a worker process was killed')
    nothing_is_left(process, folder)


def test_conversion_of_a_missing_folder(tmp_path):
    line = fails('deepfashion2', tmp_path / 'nowhere')
    assert 'no such folder; DeepFashion2 is unpacked as ROOT/{train,validation}/image' in line


def test_a_missing_split_is_noticed_before_the_first_is_converted(tmp_path):
    run('make_synthetic_deepfashion2', tmp_path, *SMALL)
    for path in (tmp_path / 'validation' / 'annos').iterdir():
        path.unlink()
    (tmp_path / 'validation' / 'annos').rmdir()
    assert 'validation/annos: no such folder' in fails('deepfashion2', tmp_path)
    assert not (tmp_path / 'annotations').exists()
