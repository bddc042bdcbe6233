#!/usr/bin/env python3
"""Says what this Python environment lacks for training and testing, and how to fix it.

    python tools/check_env.py [--json]

One row per piece, which is not only found but used (tools/env_probes.py). Exit status 0:
everything needed is there; 1: something is not, and the command that fixes it is printed. Needs
the standard library only. What installs the pieces is tools/setup.sh.
"""

from __future__ import annotations

import argparse
import json
import operator
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROBES_FILE = Path(__file__).resolve().with_name('env_probes.py')
PROBE_SECONDS = 300
OLDEST, NEWEST = (3, 10), (3, 13)
OK, MISSING, BROKEN, SKIPPED = 'ok', 'missing', 'broken', 'skipped'
# With OpenMMLab's own packages, which take older ones than those that tools/setup.sh installs.
OFFICIAL_TORCH = '>=2.1'
# The distributions that bring a piece: the one we install, then those that share its files.
PROVIDERS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'cv2': (
        'opencv-python-headless',
        'opencv-python',
        'opencv-contrib-python-headless',
        'opencv-contrib-python',
    ),
}


@dataclass(frozen=True)
class Row:
    """What is known of one piece."""

    piece: str
    state: str
    version: str = ''
    detail: str = ''
    fix: str = ''  # a command line; empty where nothing is wrong


@dataclass(frozen=True)
class Facts:
    """What was seen; the verdicts are drawn from it alone."""

    python: tuple[int, ...]
    distributions: Mapping[str, str]  # version by name, of everything installed
    # What a probe returned, by piece; with an `error` where it failed, and `lacks` naming the
    # module where one was not found.
    probes: Mapping[str, Mapping[str, Any]]
    gpu_in_machine: bool = False  # the driver lists one, whether or not torch can use it

    @property
    def official(self) -> bool:
        """Whether mmengine is OpenMMLab's own."""
        return self.of('mmengine')[:1] == ['mmengine']

    def of(self, piece: str) -> list[str]:
        """The installed distributions that bring a piece."""
        return [name for name in PROVIDERS.get(piece, (piece,)) if name in self.distributions]

    def failed(self, piece: str, fix: str) -> Row:
        """The row of a piece whose probe failed."""
        probe, found = self.probes[piece], self.of(piece)
        if not found and probe.get('lacks') == piece:
            return Row(piece, MISSING, '', 'not installed', fix)
        version = self.distributions[found[0]] if found else ''
        return Row(piece, BROKEN, version, probe['error'], fix)


@dataclass(frozen=True)
class Needs:
    """What counts as needed, and the commands that bring it."""

    requirements: Mapping[str, str] = field(default_factory=dict)  # version range by distribution
    cuda: str = 'auto'  # CUDA operators: if torch sees a GPU; `on`: in any case; `off`: never
    pip: str = 'python -m pip'  # for one package; empty where packages have no business being
    setup: str = 'bash tools/setup.sh'  # for everything

    def install(self, *names: str, options: str = '') -> str:
        """A pip command for distributions in the version that the requirements name."""
        wanted = [shlex.quote(name + self.requirements.get(name, '')) for name in names]
        return ' '.join([self.pip, 'install', *filter(None, [options]), *wanted])


def judge_python(facts: Facts, needs: Needs, piece: str) -> Row:
    version = '.'.join(map(str, facts.python))
    if facts.python[:2] < OLDEST:
        return Row(piece, BROKEN, version, f'Python 3.{OLDEST[1]} or newer is needed', needs.setup)
    newer = f'newer than the newest tested, 3.{NEWEST[1]}'
    return Row(piece, OK, version, newer if facts.python[:2] > NEWEST else '')


def judge_torch(facts: Facts, needs: Needs, piece: str) -> Row:
    probe = facts.probes[piece]
    if 'error' in probe:
        return facts.failed(piece, needs.setup)
    version, detail = probe['version'], f'CUDA {probe["cuda"]}' if probe.get('cuda') else 'CPU'
    wanted = OFFICIAL_TORCH if facts.official else needs.requirements.get('torch', '')
    if not satisfies(version, wanted):
        return Row(piece, BROKEN, version, f'{wanted} is needed', needs.setup)
    numpy = facts.distributions.get('numpy', '')
    if not satisfies(version, '>=2.3') and not satisfies(numpy, '<2'):
        fix = f"{needs.pip} install 'numpy>=1.26,<2'"
        return Row(piece, BROKEN, version, f'it takes NumPy 1, not {numpy}', fix)
    if facts.gpu_in_machine and not probe.get('gpu'):
        detail += '; it cannot use the GPU of this machine'
    return Row(piece, OK, version, detail)


def judge_openmmlab(facts: Facts, needs: Needs, piece: str) -> Row:
    """mmengine, mmcv or mmdet, of OneDL or of OpenMMLab."""
    found, detail = facts.of(piece), ''
    official = facts.distributions.get('mmdet', '') if piece == 'mmdet' else ''
    if len(found) > 1:
        detail = 'two distributions share one folder: '
        detail += ' and '.join(f'{name} {facts.distributions[name]}' for name in found)
    elif official.startswith('3.'):  # which refuses to be imported with any other mmcv
        for name in facts.of('mmcv'):
            mmcv = facts.distributions[name]
            if not satisfies(mmcv, '>=2.0,<2.2'):
                detail = f'mmdet {official} takes mmcv 2.0.0 to 2.1.x, not {name} {mmcv}'
    if detail:
        return Row(piece, BROKEN, facts.distributions[found[0]], detail, needs.setup)
    if 'error' in facts.probes[piece]:
        return facts.failed(piece, needs.setup)
    version, setuptools = facts.probes[piece]['version'], facts.distributions.get('setuptools', '')
    if piece == 'mmengine' and facts.official and not satisfies(setuptools, '<82'):
        fix = f"{needs.pip} install 'setuptools>=80,<82'"
        detail = f'it needs pkg_resources, which setuptools {setuptools} lacks'
        return Row(piece, BROKEN, version, detail, fix)
    return Row(piece, OK, version, ''.join(found))


def judge_mmcv_operators(facts: Facts, needs: Needs, piece: str) -> Row:
    probe = facts.probes[piece]
    if 'error' not in probe:
        return Row(piece, OK, '', 'nms and roi_align run on the CPU')
    state, detail = BROKEN, probe['error']
    if not facts.of('mmcv'):
        state, detail = MISSING, 'mmcv is not installed'
    elif probe.get('lacks') == 'mmcv._ext':
        state, detail = MISSING, 'mmcv was installed without its operators (no mmcv._ext)'
    elif re.search(r'undefined symbol|lib(torch|c10)\S*: cannot open', detail):
        detail += '; mmcv was compiled for another torch'
    return Row(piece, state, '', detail, needs.setup)


def judge_cuda_operators(facts: Facts, needs: Needs, piece: str) -> Row:
    gpu, error = facts.probes['torch'].get('gpu'), facts.probes[piece].get('error')
    compiled = facts.probes['mmcv operators'].get('cuda', 'not available')
    needed = needs.cuda == 'on' or (needs.cuda == 'auto' and gpu)
    if compiled == 'not available':
        if needed:
            return Row(piece, MISSING, '', 'mmcv was compiled for the CPU only', needs.setup)
        hint = 'mmcv is for the CPU only; CUDA_VISIBLE_DEVICES= keeps torch off the GPU'
        return Row(piece, SKIPPED, '', hint if gpu else 'torch sees no GPU')
    if error and needed:
        return Row(piece, BROKEN, compiled, error, needs.setup)
    return Row(piece, OK, compiled, 'nms runs on the GPU' if gpu and not error else '')


def judge_cv2(facts: Facts, needs: Needs, piece: str) -> Row:
    found, fix = ' '.join(facts.of(piece)), needs.install('opencv-python-headless')
    if 'error' not in facts.probes[piece]:
        return Row(piece, OK, facts.probes[piece]['version'], found)
    # Several builds overwrite each other in one folder: take all out, then put one in.
    fix = f'{needs.pip} uninstall -y {found} && {fix}' if found else fix
    row = facts.failed(piece, fix)
    hint = ' (the headless build of OpenCV needs no libGL)' if 'libGL' in row.detail else ''
    return replace(row, detail=row.detail + hint)


def judge_pinned(facts: Facts, needs: Needs, piece: str) -> Row:
    """A piece that the distribution of the same name brings."""
    version, wanted = facts.distributions.get(piece, ''), needs.requirements.get(piece, '')
    if 'error' in facts.probes[piece]:
        # Where its metadata is there, a plain install would find nothing to do.
        options = '--force-reinstall --no-deps' if version else ''
        return facts.failed(piece, needs.install(piece, options=options))
    if not satisfies(version, wanted):
        return Row(piece, BROKEN, version, f'{wanted} is needed', needs.install(piece))
    return Row(piece, OK, version)


def judge_requirements(facts: Facts, needs: Needs, piece: str) -> Row:
    """The plain packages without their own row, by their metadata."""
    wrong = {}
    for name in sorted(needs.requirements.keys() - PIECES.keys() - {*PROVIDERS['cv2']}):
        version, wanted = facts.distributions.get(name), needs.requirements[name]
        if version is None:
            wrong[name] = f'{name} is missing'
        elif not satisfies(version, wanted):
            wrong[name] = f'{name} {version} is not {wanted}'
    if wrong:
        return Row(piece, MISSING, '', ', '.join(wrong.values()), needs.install(*wrong))
    return Row(piece, OK, '', 'the plain packages')


def judge_package(facts: Facts, needs: Needs, piece: str) -> Row:
    probe = facts.probes[piece]
    fix = f'{needs.pip} install --no-deps --no-build-isolation -e {shlex.quote(str(ROOT))}'
    if 'error' in probe:
        return facts.failed(piece, fix if probe.get('lacks') == piece else needs.setup)
    place = Path(probe['place'])
    if place != ROOT and place.name not in ('site-packages', 'dist-packages'):
        return Row(piece, BROKEN, probe['version'], f'taken from another checkout: {place}', fix)
    return Row(piece, OK, probe['version'], 'registered with mmdet')


# What judges each piece, in the order in which they build on one another.
PIECES = {
    'python': judge_python,
    'torch': judge_torch,
    'mmengine': judge_openmmlab,
    'mmcv': judge_openmmlab,
    'mmcv operators': judge_mmcv_operators,
    'CUDA operators': judge_cuda_operators,
    'mmdet': judge_openmmlab,
    'cv2': judge_cv2,
    'pycocotools': judge_pinned,
    'hotcoco': judge_pinned,
    'requirements': judge_requirements,
    'mmdet_multigrain': judge_package,
}


def judge(facts: Facts, needs: Needs, pieces: Sequence[str] = tuple(PIECES)) -> list[Row]:
    """The table, one row per piece, in the order of PIECES."""
    if facts.python[:2] < OLDEST:
        pieces = ['python']
    rows = [verdict(facts, needs, piece) for piece, verdict in PIECES.items() if piece in pieces]
    if not needs.pip or any(row.fix == needs.setup for row in rows):
        # It fixes the rest, too.
        rows = [replace(row, fix=needs.setup) if row.fix else row for row in rows]
    return rows


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies in a range such as '>=1.26,<3' (the operators that our files use)."""

    def numbers(text: str) -> list[int]:  # '2.13.0+cpu' -> [2, 13]
        leading = re.match(r'[\d.]*', text).group().strip('.')
        return [int(part) for part in re.sub(r'(\.0+)+$', '', leading).split('.') if part]

    holds = {'==': operator.eq, '>=': operator.ge, '<': operator.lt}
    bounds = re.findall(r'(==|>=|<)([^,]+)', wanted)
    return all(holds[sign](numbers(version), numbers(bound)) for sign, bound in bounds)


def read_requirements(*paths: Path) -> dict[str, str]:
    """Version range by distribution name; comments and empty lines are left out."""
    lines = [line.strip() for path in paths for line in path.read_text('utf-8').splitlines()]
    named = [re.match(r'([\w.-]+)([^#;]*)', line) for line in lines if line and line[0] != '#']
    return {match.group(1).lower(): match.group(2).replace(' ', '') for match in named}


def run_probes(pieces: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Probe in one child process, and in one more after each piece that kills it."""
    results: dict[str, dict[str, Any]] = {}
    left = list(pieces)
    options = dict(stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS)
    with tempfile.TemporaryDirectory() as empty:
        while left:
            command = [sys.executable, str(PROBES_FILE), *left]
            try:
                child = subprocess.run(command, cwd=empty, check=False, **options)
                output = child.stdout
                reason = f'its import ended Python (status {child.returncode})'
            except subprocess.TimeoutExpired as late:
                output, reason = late.stdout or b'', f'no answer within {PROBE_SECONDS} s'
            for line in output.splitlines():
                results[left.pop(0)] = json.loads(line)
            if left:
                results[left.pop(0)] = {'error': reason}
    return results


def look(pieces: Sequence[str]) -> Facts:
    """Collect the facts about the running Python's environment."""
    if sys.version_info < OLDEST:
        return Facts(sys.version_info[:3], {}, {})
    from importlib import metadata  # an older Python lacks it, and a row says so

    distributions: dict[str, str] = {}
    for found in metadata.distributions():
        name = (found.metadata['Name'] or '').lower().replace('_', '-')
        # The first on the path is the one that gets imported.
        distributions.setdefault(name, found.version or '')
    # Some verdicts also rest on what these say.
    others = {'mmengine': ['torch'], 'CUDA operators': ['torch', 'mmcv operators']}
    wanted = {*pieces, *(other for piece in pieces for other in others.get(piece, []))}
    probed = [piece for piece in PIECES if piece in wanted - {'python', 'requirements'}]
    return Facts(sys.version_info[:3], distributions, run_probes(probed), gpu_in_machine())


def gpu_in_machine() -> bool:
    """Whether the driver lists a GPU."""
    command = ['nvidia-smi', '-L']
    listing = shutil.which(command[0]) and subprocess.run(command, capture_output=True, check=False)
    return bool(listing) and listing.returncode == 0 and b'GPU 0' in listing.stdout


def this_machine(*, cuda: str, dev: bool) -> Needs:
    """What is needed here, with commands that can be typed in the working directory."""
    files = ['requirements.txt', 'requirements/torch.txt', 'requirements/detector.txt']
    files += ['requirements/tests.txt'] if dev else []
    setup, pip = f'bash {shlex.quote(os.path.relpath(ROOT / "tools/setup.sh"))}', ''
    if in_own_venv():
        pip = f'{shlex.quote(os.path.relpath(sys.executable))} -m pip'
    elif sys.prefix != sys.base_prefix or 'CONDA_PREFIX' in os.environ:
        setup, pip = f'{setup} --active', f'{shlex.quote(sys.executable)} -m pip'
    return Needs(read_requirements(*(ROOT / name for name in files)), cuda, pip, setup)


def in_own_venv() -> bool:
    return Path(sys.prefix).resolve() == (ROOT / '.venv').resolve()


def show(rows: Sequence[Row], *, quiet: bool) -> None:
    """Print the table (quiet: only what is wrong), then a command for each thing that is wrong."""
    shown = [row for row in rows if row.fix or not quiet]
    pieces = max((len(row.piece) for row in shown), default=0)
    versions = max((len(row.version) for row in shown), default=0)
    for row in shown:
        line = f'{row.piece:{pieces}}  {row.version:{versions}}  {row.state:7}  {row.detail}'
        print(line.rstrip())
    for command in dict.fromkeys(row.fix for row in rows if row.fix):
        pieces = ', '.join(row.piece for row in rows if row.fix == command)
        print(f'\nto fix {pieces}:\n    {command}')
    own = ROOT / '.venv/bin/python'
    if not quiet and own.exists() and not in_own_venv():
        command = ' '.join(shlex.quote(os.path.relpath(path)) for path in (own, __file__))
        print(f'\nnote: this is {sys.executable}; for the environment in .venv: {command}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--json', action='store_true', help='print the rows as JSON')
    add('--quiet', action='store_true', help='print only what is wrong')
    add('--only', action='append', choices=PIECES, help='this piece only (may be repeated)')
    add('--dev', action='store_true', help='ask for what the tests need, too')
    cuda = 'whether CUDA operators are needed (auto: if torch sees a GPU)'
    add('--cuda', choices=('auto', 'on', 'off'), default='auto', help=cuda)
    args = parser.parse_args()

    pieces = args.only or tuple(PIECES)
    rows = judge(look(pieces), this_machine(cuda=args.cuda, dev=args.dev), pieces)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows, quiet=args.quiet)
    sys.exit(any(row.fix for row in rows))


if __name__ == '__main__':
    main()
