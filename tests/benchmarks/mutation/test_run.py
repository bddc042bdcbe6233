"""The run of mutants on a made package: killed, survived, out of time, continued."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks.mutation import choice, run
from benchmarks.mutation.choice import module_name, modules, within

MODULE = """
def largest(values):
    best = 0
    for value in values:
        if value > best:
            best = value
    return best
"""
TESTS = """
import subprocess, sys
from made.room.size import largest

def test_largest():
    assert largest([1, 3, 2]) == 3

def test_in_another_process():
    code = 'from made.room.size import largest; print(largest([2]))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == '2\\n'
"""


# Fails without a mutant, too: what it says of mutants does not count.
BROKEN = 'from made.room import size\n\ndef test_broken(): assert False\n'


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A package of one module with its tests; the runner's own folder is theirs."""
    for name, text in {
        'made/__init__.py': '',
        'made/room/__init__.py': '',
        'made/room/size.py': MODULE,
        'tests/room/test_size.py': TESTS,
        'setup.cfg': '[tool:pytest]\n',
        'tests/room/test_other.py': 'def test_other(): pass\n',
        'tests/room/test_near.py': BROKEN,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for module in (choice, run):
        monkeypatch.setattr(module, 'ROOT', tmp_path, raising=False)
    monkeypatch.setattr(choice, 'PACKAGE', 'made')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    return tmp_path


def test_the_tests_of_a_module(made):
    assert module_name('made/room/size.py') == 'made.room.size'
    assert module_name('made/room/__init__.py') == 'made.room'
    assert [*modules(made, 'room')] == ['made/room/__init__.py', 'made/room/size.py']
    assert [*modules(made, '.')] == ['made/__init__.py']
    own, others = choice.tests_of(made, 'made/room/size.py')
    assert own == ['tests/room/test_size.py']
    assert others == ['tests/room/test_near.py', 'tests/room/test_other.py']


def test_tests_within_a_budget():
    costs = dict(a=3.0, b=None, c=9.0, d=6.5, e=0.1, f=1.0)
    asked = []

    def seconds(test):
        asked.append(test)
        return costs[test]

    assert within(list(costs), seconds, 10.0) == ['a', 'd']
    assert asked == ['a', 'b', 'c', 'd']  # half a second is left


RUN = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from benchmarks.mutation import choice, run
from types import SimpleNamespace
choice.PACKAGE, run.ROOT = 'made', Path({made!r})
import os
os.chdir({made!r})
args = SimpleNamespace(count={count}, seed='seed', survivors={survivors}, budget=60)
folder = run.Folder('room', Path('out'))
folder.run(args)
print(folder.score())
"""


def run_made(made, repository, **options):
    code = RUN.format(root=str(repository), made=str(made), **options)
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=made)
    assert done.returncode == 0, done.stderr
    return json.loads((made / 'out/room.json').read_text()), done.stdout


@pytest.mark.long
def test_mutants_are_run_and_continued(made, repository):
    content, _ = run_made(made, repository, count=3, survivors=False)
    assert len(content['mutants']) == 3 and content['seed'] == 'seed'
    before = (made / 'made/room/size.py').read_text()
    content, said = run_made(made, repository, count=20, survivors=False)
    mutants = content['mutants']
    results = {(one['before'], one['after']): one['result'] for one in mutants}
    assert results['value > best', 'value >= best'] == 'survived'  # equivalent, in truth
    assert results['value > best', 'not value > best'] == 'killed'
    assert results['return best', 'return None'] == 'killed'
    assert '%' in said and (made / 'made/room/size.py').read_text() == before
    (survivor,) = (one for one in mutants if one['after'] == 'value >= best')
    survivor['equivalent'] = 'equal values are the same'
    (made / 'out/room.json').write_text(json.dumps(content))
    content, said = run_made(made, repository, count=20, survivors=True)
    assert '(equivalent: equal values are the same)' in said


def test_a_mutant_whose_line_moved_is_not_drawn_again(made, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(run.Folder, '_try_all', lambda self, pairs, budget: drawn.append(pairs))
    args = SimpleNamespace(count=99, seed='seed', survivors=False, budget=1)
    folder = run.Folder('room', tmp_path / 'out')
    folder.run(args)
    rows = [row for _, row in drawn.pop()]
    folder.content['mutants'] = [row | dict(line=row['line'] + 9) for row in rows[:3]]
    folder.run(args)
    assert folder.content['mutants'] == rows[:3]
    assert [row for _, row in drawn.pop()] == rows[3:]


def test_what_ends_the_tests_with_status_0_did_not_survive(repository, tmp_path):
    (tmp_path / 'test_a.py').write_text('import os\n\ndef test_a(): os._exit(0)\n')
    code = (
        f'import sys; sys.path.insert(0, {str(repository)!r})\n'
        'from benchmarks.mutation.run import in_fork\n'
        "print(*in_fork(['test_a.py'], 60))"
    )
    command = [sys.executable, '-c', code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "killed ['ended the tests'] {}\n", done.stderr


def test_what_waits_for_a_processor_is_not_out_of_time(tmp_path):
    for process, queued in ((os.getpid(), 3), (os.getppid(), 4), (2**22 + 1, 5)):
        (tmp_path / str(process)).mkdir()
        (tmp_path / str(process) / 'schedstat').write_text(f'7 {queued}000000000 1')
    (tmp_path / 'self').mkdir()
    groups = os.getpgid(0), os.getpgid(os.getppid())
    own = 7 if groups[0] == groups[1] else 3
    assert run._queued(groups[0], tmp_path) == own and run._queued(2**22 + 2, tmp_path) == 0


def test_costs_of_test_files_that_are_known_or_assumed(tmp_path):
    folder = run.Folder('room', tmp_path)
    folder.content['seconds'] = {'tests/a.py': 3.0, 'tests/tools/b.py': None}
    tests = ('tests/a.py', 'tests/tools/b.py', 'tests/c.py', 'tests/tools/d.py')
    assert [folder._cost(test) for test in tests] == [3.0, None, 5.0, 30.0]


def test_quick_tests_come_first():
    drawn, plain = (lambda: None), (lambda: None)
    drawn.is_hypothesis_test = True
    items = [
        SimpleNamespace(function=function, fixturenames=names, name=name)
        for name, function, names in (
            ('many', drawn, []),
            ('photos', plain, ['ccp']),
            ('quick', plain, ['tmp_path']),
        )
    ]
    items.append(SimpleNamespace(fixturenames=[], name='no function'))
    assert [item.name for item in sorted(items, key=run._is_slow)] == [
        'quick',
        'no function',
        'many',
        'photos',
    ]


def test_a_mutant_without_its_source_is_not_found():
    row = dict(file='gone.py', line=1, operator='constant', before='1', after='2')
    assert run._found_again(row, {}) is None
    found = run._found_again(row, {'gone.py': 'a = b\n\nx = 1'})
    assert (found.line, found.after) == (3, '2')
    assert SimpleNamespace(**row).before == found.before
