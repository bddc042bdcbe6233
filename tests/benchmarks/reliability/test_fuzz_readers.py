"""200 broken files for every reader: each is read, or refused with one line and nothing left."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import strategies as st

from benchmarks.reliability.fuzzing import harness
from benchmarks.reliability.fuzzing.harness import Failure, fuzz, one_case
from benchmarks.reliability.fuzzing.mutations import as_json
from benchmarks.reliability.fuzzing.readers import READERS, Reader
from mmdet_multigrain.utils.errors import FileError
from mmdet_multigrain.utils.files import write_whole
from tests.benchmarks.conftest import start

CASES = 200
LEAST = 0.03  # of the cases are whole enough to be accepted, or broken enough to be refused


@pytest.mark.parametrize('name', READERS)
def test_no_case_fails(name, tmp_path):
    open_files = []
    tally = fuzz(
        READERS[name],
        cases=CASES,
        random_seed=1,
        keep=tmp_path,
        each=lambda: open_files.append(len(os.listdir('/proc/self/fd'))),
    )
    assert not tally.failures
    # The first cases import libraries, which may open files for good; after that none stays open.
    assert open_files[-1] <= open_files[CASES // 4]
    assert tally.cases >= CASES
    # Files that are all accepted, or all refused at the first byte, would prove nothing.
    assert min(tally.accepted, tally.refused) > LEAST * CASES


def test_the_same_seed_draws_the_same_files():
    def drawn(seed):
        seen = []
        fuzz(
            Reader(
                '',
                READERS['taxonomy-yaml'].files,
                lambda folder: seen.append((folder / 'x.yaml').read_bytes()),
            ),
            cases=20,
            random_seed=seed,
        )
        return seen

    assert drawn(3) == drawn(3) != drawn(4)


# ------------------------------------------------------------------ the judge can say no


def a_reader(read, **options):
    return Reader('made up', st.just({'x': b'12'}), read, **options)


def raises(error):
    def read(folder):
        raise error

    return read


def refuse(folder, more=''):
    raise FileError(f'{folder / "x"}: cannot be read{more}')


def leave(folder):
    write_whole(folder / 'y', b'')


def leave_and_refuse(folder):
    leave(folder)
    refuse(folder)


def lose_time(folder):
    while True:
        time.process_time()


def swallow_the_alarm(folder):
    while True:
        try:
            lose_time(folder)
        except Exception:  # noqa: BLE001 (what it is about: the alarm is none)
            pass


def take_memory(folder):
    assert len(bytearray(300_000_000)) == 300_000_000  # untouched: no time


def test_accepted_and_refused():
    assert one_case(a_reader(lambda folder: None), {'x': b'1'}) is True
    assert one_case(a_reader(refuse), {'x': b'1'}) is False
    assert one_case(a_reader(leave, outputs=['y']), {'x': b'1'}) is True


@pytest.mark.parametrize(
    ('read', 'said'),
    [
        (raises(KeyError('name')), 'traceback: KeyError'),
        (raises(ValueError('int("x")')), 'traceback: ValueError'),
        (raises(RecursionError()), 'traceback: RecursionError'),
        (raises(MemoryError()), 'traceback: MemoryError'),
        (raises(OSError(5, 'broken')), 'traceback: OSError'),
        (raises(SystemExit(2)), 'traceback: SystemExit'),
        (raises(FileError('x: broken')), 'message without the file'),
        (lambda folder: refuse(folder, '\nline'), 'message with line breaks'),
        (lambda folder: refuse(folder, '\x1b[31m'), 'message with line breaks or control'),
        (lambda folder: refuse(folder, '\ud800'), 'message with line breaks or control'),
        (lambda folder: refuse(folder, 'x' * 3000), 'message of thousands'),
        (leave, "left behind: ['y']"),
        (leave_and_refuse, "left behind: ['y']"),
        (lose_time, 'hang: over 1 s'),
        (swallow_the_alarm, 'hang: over 1 s'),
        (take_memory, 'memory: '),
    ],
)
def test_failures(monkeypatch, read, said):
    # A busy machine may need a second for 300 MB.
    monkeypatch.setattr(harness, 'CPU_SECONDS', 1 if said.startswith('hang') else 60)
    monkeypatch.setattr(harness, 'peak_mb', current_mb)
    with pytest.raises(Failure) as caught:
        one_case(a_reader(read), {'x': b'12'})
    assert str(caught.value).startswith(said)


def current_mb():
    """The peak of this process may lie far back; this one grows with the case that takes memory."""
    import tracemalloc

    if not tracemalloc.is_tracing():
        tracemalloc.start()
        return 0
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return peak


def test_the_smallest_files_of_a_failure_are_kept(tmp_path):
    def read(folder):
        if 'a' in (folder / 'x').read_text():
            raise KeyError('a')

    letters = st.text('abc', max_size=50).map(lambda text: {'x': text.encode()})
    tally = fuzz(Reader('', letters, read), cases=500, random_seed=0, keep=tmp_path)
    ((what, folder),) = tally.failures.items()
    assert what.startswith('traceback: KeyError')
    assert (folder / 'x').read_bytes() == b'a'
    assert 'raise KeyError' in (folder / 'failure.txt').read_text()


# ------------------------------------------------------------------ the script


def script(*arguments, **environment):
    return start('reliability.fuzz_readers', *arguments, **environment)


def test_script(tmp_path):
    done = script('taxonomy-yaml', 'openimages-hierarchy', '--cases', 60, '--keep', tmp_path)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == [
        'reader',
        'taxonomy-yaml',
        'openimages-hierarchy',
    ]
    for line in lines[1:]:
        _, cases, accepted, refused, failures, _ = line.split()
        assert int(cases) == int(accepted) + int(refused) >= 60 and failures == '0'
    assert not [*tmp_path.iterdir()]


def test_script_tells_failures(repository, tmp_path):
    # A package of the same name that comes first: its reader fails.
    broken = tmp_path / 'sitecustomize.py'
    broken.write_text(
        'import mmdet_multigrain.taxonomy.yaml_file as y\ny.parse = lambda content: content["x"]\n'
    )
    paths = f'{tmp_path}:{repository}'
    arguments = ('taxonomy-yaml', '--cases', 20, '--keep', tmp_path / 'kept')
    done = script(*arguments, PYTHONPATH=paths)
    assert done.status == 1
    assert '  traceback: TypeError' in done.out
    assert (tmp_path / 'kept' / 'taxonomy-yaml' / '1' / 'x.yaml').is_file()


def test_script_knows_its_readers():
    done = script('nonsense')
    assert done.status == 2 and "no reader 'nonsense'" in done.err


def test_json_is_as_broken_writers_leave_it():
    assert as_json({'a': float('nan'), 'b': '@@exponent@@', 'a@@twice@@': 1}) == (
        b'{"a": NaN, "b": 1e999, "a": 1}'
    )
    assert json.loads(as_json({'deep': '@@deep@@'}).decode())['deep'] != []
    with pytest.raises(RecursionError):
        json.loads(as_json('@@abyss@@').decode())
