"""Run the tests on mutants of the package: python -m benchmarks.mutation.run [FOLDER...]

A mutant has one small fault (operators.py). It is killed if a test fails that mirrors its module
or belongs to its folder; the others are listed as survivors. A test that fails without a mutant,
too, does not count. Results are written after each mutant, one file per folder, and a second call
continues. Where `equivalent` says why no test can see a
mutant, written into the file by hand, it is counted separately.

The parent process imports torch and MMDetection once; each mutant runs in a fork of it, which
imports the mutated source. No file of the package is changed.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.mutation.choice import module_name, modules, tests_of, within
from benchmarks.mutation.hook import hand_down, install
from benchmarks.mutation.operators import Mutant, draw, mutate, sites

ROOT = Path(__file__).parents[2]
FIFTY = ('models', 'engine', 'evaluation', 'datasets', 'checks', 'export')
OTHERS = (
    '.', 'taxonomy', 'coco', 'converters', 'report', 'visualization', 'launch', 'apis', 'utils',
)  # fmt: skip
_ASSUMED, _ASSUMED_OF_TOOLS = 5.0, 30.0  # seconds of a test file that has not been run yet
# What tests import and this project does not change. Not polars: its threads do not survive a fork.
_PRELOADED = (
    'pytest', 'hypothesis', 'cv2', 'matplotlib.pyplot', 'PIL.Image', 'scipy.stats', 'torch',
    'pycocotools.cocoeval', 'mmcv.ops', 'mmengine.runner', 'mmdet.apis', 'mmdet.datasets',
    'mmdet.engine', 'mmdet.evaluation', 'mmdet.models', 'mmdet.visualization',
)  # fmt: skip


def parse_args() -> argparse.Namespace:
    description = __doc__.partition('\n')[0]
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add('folders', nargs='*', metavar='FOLDER', help=f'of {", ".join(FIFTY + OTHERS)}; . is the '
        'package itself. Default: only print the scores')  # fmt: skip
    add('--count', type=int, help='mutants (default: 50 or 25, by folder)')
    add('--seed', help='of the draws (default: the hash of the commit)')
    add('--survivors', action='store_true', help='run the survivors again, not new mutants')
    add('--budget', type=float, default=60, metavar='SECONDS',
        help='of unmutated tests for one mutant (default: 60)')  # fmt: skip
    add('--out', type=Path, default=ROOT / 'docs/benchmarks/mutation', metavar='DIR')
    args = parser.parse_args()
    if unknown := [name for name in args.folders if name not in FIFTY + OTHERS]:
        parser.error(f'no folder {unknown[0]!r}')
    return args


class Outcome(NamedTuple):
    """What became of tests."""

    result: str  # 'killed' or 'survived'
    failed: list[str]  # ids of the tests that failed; if none did, what else went wrong
    seconds: dict[str, float]  # on a processor, of each test file that was run to its end


def in_fork(
    tests: list[str], seconds: float, mutant: Mutant | None = None, *, stop: bool = True
) -> Outcome:
    """Run test files, or tests by their ids, in a fork; with `stop`, to the first that fails.

    After these seconds on a processor it is killed; it may wait for ten times as long, and for a
    processor without end.
    """
    with tempfile.TemporaryDirectory(prefix='mutation_') as folder:
        child = os.fork()
        if not child:
            status = 3
            try:
                limit = math.ceil(seconds)
                resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
                status = _run_tests(tests, Path(folder), mutant, stop)
            finally:
                os._exit(status)
        deadline = time.monotonic() + 10 * seconds
        while not (ended := os.wait4(child, os.WNOHANG))[0]:
            if (now := time.monotonic()) > deadline and now > deadline + _queued(child):
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Outcome('killed', ['out of time'], {})
            time.sleep(0.05)
        cpu = ended[2].ru_utime + ended[2].ru_stime
        with contextlib.suppress(ProcessLookupError):  # what the tests started
            os.killpg(child, signal.SIGKILL)
        said = Path(folder, 'said')
        failed, costs = json.loads(said.read_text()) if said.exists() else ([], {})
        # Without a result the tests were ended by what they test, be it with status 0.
        if said.exists() and os.waitstatus_to_exitcode(ended[1]) == 0:
            return Outcome('survived', [], costs)
        what = 'cannot be imported' if said.exists() else 'ended the tests'
        if cpu > seconds - 1:
            what = 'out of time'
        return Outcome('killed', failed or [what], costs)


def _queued(group: int, processes: Path = Path('/proc')) -> float:
    """Seconds that the processes of a group were ready to run, but others had the processors."""
    total = 0
    for place in processes.glob('[0-9]*'):
        with contextlib.suppress(OSError):
            if os.getpgid(int(place.name)) == group:
                total += int(Path(place, 'schedstat').read_text().split()[1])
    return total / 1e9


def _run_tests(tests: list[str], folder: Path, mutant: Mutant | None, stop: bool) -> int:
    """Run tests in this process, which ends with them; the exit status."""
    import pytest

    os.setsid()
    log = os.open(folder / 'log', os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(log, stream)
    if mutant is not None:
        name, path = module_name(mutant.file), str(ROOT / mutant.file)
        install(name=name, path=path, source=ast.unparse(mutant.tree))
        hand_down(folder, name=name, path=path, tree=mutant.tree)

    failed: list[str] = []
    costs: dict[str, float] = defaultdict(float)

    class Watch:
        def pytest_collection_modifyitems(self, items: list[Any]) -> None:
            items.sort(key=_is_slow)

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_protocol(self, item: Any) -> Any:
            began = sum(os.times()[:4])
            yield
            costs[item.nodeid.partition('::')[0]] += sum(os.times()[:4]) - began

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid)

    options = ['-q', '-o', f'cache_dir={folder / "cache"}', f'--basetemp={folder / "tmp"}']
    status = pytest.main([*options, *['-x'] * stop, *tests], plugins=[Watch()])
    (folder / 'said').write_text(json.dumps([failed, costs]))
    return 0 if status == 5 else int(status)  # 5: all tests of a file are deselected


def _is_slow(item: Any) -> bool:
    """Whether a test draws many examples or reads real photos; the others come first."""
    function = getattr(item, 'function', None)
    return getattr(function, 'is_hypothesis_test', False) or 'ccp' in item.fixturenames


class Folder:
    """Results of one folder of the package, in a file."""

    def __init__(self, name: str, out: Path) -> None:
        self.name = name
        self._path = out / f'{"package" if name == "." else name}.json'
        self.content: dict[str, Any] = dict(seed=None, mutants=[], seconds={})
        if self._path.exists():
            self.content = json.loads(self._path.read_text())

    def write(self) -> None:
        costs = self.content['seconds']
        costs.update({test: cost and round(cost, 1) for test, cost in costs.items()})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._path.with_suffix('.tmp')
        whole.write_text(json.dumps(self.content, indent=1) + '\n')
        whole.replace(self._path)

    def score(self) -> str:
        """Counts, and a line for each survivor."""
        mutants = self.content['mutants']
        alive = [one for one in mutants if one['result'] != 'killed']
        same = [one for one in alive if one.get('equivalent')]
        percent = 100 * (1 - len(alive) / len(mutants)) if mutants else 0.0
        head = f'{self.name:<14}{len(mutants):>4}{percent:>7.0f} %{len(same):>11}'
        return '\n'.join([head, *map(_line, alive)])

    def run(self, args: argparse.Namespace) -> None:
        """Run the mutants that have no result yet, or the survivors again."""
        sources = modules(ROOT, self.name)
        rows = self.content['mutants']
        if args.survivors:
            alive = [one for one in rows if one['result'] != 'killed' and 'equivalent' not in one]
            self._try_all(
                [(mutant, one) for one in alive if (mutant := _found_again(one, sources))],
                args.budget,
            )
            return
        known: dict[tuple[str, int], dict[str, Any]] = {}
        for one in rows:
            if mutant := _found_again(one, sources):
                known.setdefault((mutant.file, mutant.number), one | dict(line=mutant.line))
        rows[:] = known.values()
        seed = self.content['seed'] = self.content['seed'] or args.seed or _commit()
        count = args.count or (50 if self.name in FIFTY else 25)
        new = []
        for mutant in draw(sources, count + len(rows), f'{seed} {self.name}'):
            row = dict(file=mutant.file, line=mutant.line, operator=mutant.operator,
                       before=mutant.before, after=mutant.after)  # fmt: skip
            if len(rows) + len(new) < count and (mutant.file, mutant.number) not in known:
                new.append((mutant, row))
        self._try_all(new, args.budget)

    def _try_all(self, pairs: list[tuple[Mutant, dict[str, Any]]], budget: float) -> None:
        """Run mutants; those whose killer fails without them, again without its file."""
        for mutant, row in pairs:
            self._try(mutant, row, budget)
        while pairs:
            killers = sorted({row['by'] for _, row in pairs if '::' in row['by']})
            broken = in_fork(killers, 600, stop=False).failed if killers else []
            self.content['seconds'].update((test.partition('::')[0], None) for test in broken)
            pairs = [(mutant, row) for mutant, row in pairs if row['by'] in broken]
            for mutant, row in pairs:
                self._try(mutant, row, budget)

    def _try(self, mutant: Mutant, row: dict[str, Any], budget: float) -> None:
        """Run one mutant and write its result into its row."""
        began = time.monotonic()
        result, by = 'survived', ''
        seconds = self.content['seconds']
        for tests in tests_of(ROOT, mutant.file):
            chosen = within(tests, self._cost, budget)
            outcome = self._outcome(chosen, mutant)
            if outcome.result == 'killed' and '::' not in outcome.failed[0]:
                # Is that true without the mutant, too?
                for test in chosen:
                    alone = in_fork([test], 300)
                    seconds[test] = alone.seconds.get(test) if alone.result == 'survived' else None
                outcome = self._outcome(
                    [test for test in chosen if seconds[test] is not None], mutant
                )
            if outcome.result == 'killed':
                result, by = 'killed', outcome.failed[0]
                break
            seconds.update(outcome.seconds)
        row.update(result=result, by=by)
        if not any(row is one for one in self.content['mutants']):
            self.content['mutants'].append(row)
        self.write()
        print(f'{time.monotonic() - began:5.0f} s {_line(row)}  {row["by"]}', flush=True)

    def _cost(self, test: str) -> float | None:
        """Seconds of a test file, or a guess; None if it fails without a mutant."""
        guess = _ASSUMED_OF_TOOLS if '/tools/' in test else _ASSUMED
        return self.content['seconds'].get(test, guess)

    def _outcome(self, tests: list[str], mutant: Mutant) -> Outcome:
        cost = sum(map(self._cost, tests))
        return in_fork(tests, 30 + 4 * cost, mutant) if tests else Outcome('survived', [], {})


def _found_again(row: dict[str, Any], sources: dict[str, str]) -> Mutant | None:
    """The mutant of a row in today's sources; of several the nearest."""
    source = sources.get(row['file'], '')
    numbers = [n for n, site in enumerate(sites(ast.parse(source)))
               if site.operator == row['operator']]  # fmt: skip
    mutants = [mutate(row['file'], source, number) for number in numbers]
    key = row['file'], row['operator'], row['before'], row['after']
    same = [mutant for mutant in mutants if mutant.key == key]
    return min(same, key=lambda mutant: abs(mutant.line - row['line']), default=None)


def _line(row: dict[str, Any]) -> str:
    why = f' (equivalent: {row["equivalent"]})' if row.get('equivalent') else ''
    change = f'{row["before"]}  ->  {row["after"]}'
    return f'  {row["result"]:<9}{row["file"]}:{row["line"]} {row["operator"]}: {change}{why}'


def _commit() -> str:
    command = ['git', '-C', str(ROOT), 'rev-parse', 'HEAD']
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    args = parse_args()
    if args.folders:
        os.chdir(ROOT)
        os.environ.update(OMP_NUM_THREADS='1', MPLBACKEND='agg')
        sys.path.insert(0, str(ROOT))
        for name in _PRELOADED:
            importlib.import_module(name)
        for name in args.folders:
            Folder(name, args.out).run(args)
    print(f'{"folder":<14}{"all":>4}{"killed":>9}{"equivalent":>11}')
    for name in args.folders or FIFTY + OTHERS:
        print(Folder(name, args.out).score())


if __name__ == '__main__':
    main()
