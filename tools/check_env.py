#!/usr/bin/env python3
"""Says what this Python environment lacks for training and testing, and how to mend it.

    python tools/check_env.py [--json]

One row per piece, which is not only found but used (tools/env_probes.py). Exit status 0:
everything needed is there; 1: something is not, and the command that mends it is printed. Needs
the standard library only. What installs the pieces is tools/setup.sh.
"""

from __future__ import annotations

import argparse
import json
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

OK, MISSING, BROKEN, SKIPPED = 'ok', 'missing', 'broken', 'skipped'
# In the order in which they build on one another.
PIECES = (
    'python',
    'torch',
    'mmengine',
    'mmcv',
    'mmcv operators',
    'CUDA operators',
    'mmdet',
    'cv2',
    'pycocotools',
    'hotcoco',
    'requirements',
    'mmdet_multigrain',
)
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
    """What is known of one piece; `mend` is a command line, empty where nothing is to be mended."""

    piece: str
    state: str
    version: str = ''
    detail: str = ''
    mend: str = ''


@dataclass(frozen=True)
class Facts:
    """What was seen; the verdicts are drawn from it alone.

    Attributes:
        python: Version of the interpreter.
        distributions: Version by distribution name, of everything installed.
        probes: What a probe returned, by piece; with an `error` where it failed, and `lacks`
            naming the module where one was not found.
        gpu_in_machine: A driver lists a GPU, whether or not torch can use it.
    """

    python: tuple[int, ...]
    distributions: Mapping[str, str]
    probes: Mapping[str, Mapping[str, Any]]
    gpu_in_machine: bool = False


@dataclass(frozen=True)
class Needs:
    """What counts as needed, and the commands that bring it.

    Attributes:
        requirements: Version range by distribution name: the plain packages.
        cuda: `auto`: CUDA operators if torch sees a GPU; `on`: in any case; `off`: never.
        pip: Command line for one package; empty where packages have no business being.
        setup: Command line for everything.
    """

    requirements: Mapping[str, str] = field(default_factory=dict)
    cuda: str = 'auto'
    pip: str = 'python -m pip'
    setup: str = 'bash tools/setup.sh'


def judge(facts: Facts, needs: Needs, pieces: Sequence[str] = PIECES) -> list[Row]:
    """The table, one row per piece, in the order of PIECES."""
    if not supported(facts.python):
        version = '.'.join(map(str, facts.python))
        return [Row('python', BROKEN, version, 'Python 3.10, 3.11 or 3.12 is needed', needs.setup)]
    verdicts = {
        'python': lambda: Row('python', OK, '.'.join(map(str, facts.python))),
        'torch': lambda: judge_torch(facts, needs),
        'mmcv operators': lambda: judge_mmcv_operators(facts, needs),
        'CUDA operators': lambda: judge_cuda_operators(facts, needs),
        'cv2': lambda: judge_cv2(facts, needs),
        'requirements': lambda: judge_requirements(facts, needs),
        'mmdet_multigrain': lambda: judge_mmdet_multigrain(facts, needs),
    }
    rows = []
    for piece in (piece for piece in PIECES if piece in pieces):
        if piece in verdicts:
            rows.append(verdicts[piece]())
        elif piece in PROVIDERS:
            rows.append(judge_openmmlab(facts, needs, piece))
        else:
            rows.append(judge_pinned(facts, needs, piece))
    if not needs.pip or any(row.mend == needs.setup for row in rows):
        # It mends the rest, too.
        rows = [replace(row, mend=needs.setup) if row.mend else row for row in rows]
    return rows


def judge_torch(facts: Facts, needs: Needs) -> Row:
    probe = facts.probes['torch']
    if 'error' in probe:
        return failed(facts, 'torch', needs.setup)
    version, detail = probe['version'], f'CUDA {probe["cuda"]}' if probe.get('cuda') else 'CPU'
    # The first whose weights-only loader takes a list of names.
    if release(version)[:2] < (2, 6):
        return Row('torch', BROKEN, version, 'torch 2.6 or newer is needed', needs.setup)
    if facts.gpu_in_machine and not probe.get('gpu'):
        detail += '; it cannot use the GPU of this machine'
    return Row('torch', OK, version, detail)


def judge_openmmlab(facts: Facts, needs: Needs, piece: str) -> Row:
    """mmengine, mmcv or mmdet, of OneDL or of OpenMMLab."""
    found = providers(facts, piece)
    if len(found) > 1:
        both = ' and '.join(f'{name} {facts.distributions[name]}' for name in found)
        detail = f'two distributions share one folder: {both}'
    else:
        detail = trouble_of_mmdet(facts) if piece == 'mmdet' else ''
    if detail:
        return Row(piece, BROKEN, facts.distributions[found[0]], detail, needs.setup)
    if 'error' in facts.probes[piece]:
        return failed(facts, piece, needs.setup)
    return Row(piece, OK, facts.probes[piece]['version'], ''.join(found))


def trouble_of_mmdet(facts: Facts) -> str:
    """The official mmdet 3.x refuses, when imported, an mmcv that lies outside its range."""
    version = facts.distributions.get('mmdet', '')
    for name in providers(facts, 'mmcv'):
        mmcv = facts.distributions[name]
        if version.startswith('3.') and not satisfies(mmcv, '>=2.0,<2.2'):
            return f'mmdet {version} takes mmcv 2.0.0 to 2.1.x, not {name} {mmcv}'
    return ''


def judge_mmcv_operators(facts: Facts, needs: Needs) -> Row:
    piece, probe = 'mmcv operators', facts.probes['mmcv operators']
    if 'error' not in probe:
        return Row(piece, OK, '', 'nms and roi_align run on the CPU')
    if not providers(facts, 'mmcv'):
        return Row(piece, MISSING, '', 'mmcv is not installed', needs.setup)
    if probe.get('lacks') == 'mmcv._ext':
        return Row(
            piece,
            MISSING,
            '',
            'mmcv was installed without its operators (no mmcv._ext)',
            needs.setup,
        )
    detail = probe['error']
    if re.search(r'undefined symbol|lib(torch|c10)\S*: cannot open', detail):
        detail += '; mmcv was compiled for another torch'
    return Row(piece, BROKEN, '', detail, needs.setup)


def judge_cuda_operators(facts: Facts, needs: Needs) -> Row:
    piece, gpu = 'CUDA operators', facts.probes['torch'].get('gpu')
    error = facts.probes[piece].get('error')
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


def judge_cv2(facts: Facts, needs: Needs) -> Row:
    found = providers(facts, 'cv2')
    mend = install(needs, 'opencv-python-headless')
    if 'error' not in facts.probes['cv2']:
        return Row('cv2', OK, facts.probes['cv2']['version'], ' and '.join(found))
    if found:
        # Several builds overwrite each other in one folder: take all out, then put one in.
        mend = f'{needs.pip} uninstall -y {" ".join(found)} && {mend}'
    row = failed(facts, 'cv2', mend)
    if 'libGL' in row.detail:
        return replace(row, detail=f'{row.detail} (the headless build of OpenCV needs no libGL)')
    return row


def judge_pinned(facts: Facts, needs: Needs, piece: str) -> Row:
    """A piece that the distribution of the same name brings."""
    version, wanted = facts.distributions.get(piece, ''), needs.requirements.get(piece, '')
    if 'error' in facts.probes[piece]:
        # Where its metadata is there, a plain install would find nothing to do.
        options = '--force-reinstall --no-deps' if version else ''
        return failed(facts, piece, install(needs, piece, options=options))
    if not satisfies(version, wanted):
        return Row(piece, BROKEN, version, f'{wanted} is needed', install(needs, piece))
    return Row(piece, OK, version)


def judge_requirements(facts: Facts, needs: Needs) -> Row:
    """The plain packages without a row of their own, by their metadata."""
    wrong = {}
    for name, wanted in needs.requirements.items():
        version = facts.distributions.get(name)
        if name in PIECES or name in PROVIDERS['cv2']:
            continue
        if version is None:
            wrong[name] = f'{name} is missing'
        elif not satisfies(version, wanted):
            wrong[name] = f'{name} {version} is not {wanted}'
    if wrong:
        details = ', '.join(wrong.values())
        return Row('requirements', MISSING, '', details, install(needs, *wrong))
    return Row('requirements', OK, '', 'the plain packages')


def judge_mmdet_multigrain(facts: Facts, needs: Needs) -> Row:
    piece, probe = 'mmdet_multigrain', facts.probes['mmdet_multigrain']
    mend = f'{needs.pip} install --no-deps --no-build-isolation -e {shlex.quote(str(ROOT))}'
    if 'error' in probe:
        return failed(facts, piece, mend if probe.get('lacks') == piece else needs.setup)
    place = Path(probe['place'])
    if place != ROOT and place.name not in ('site-packages', 'dist-packages'):
        return Row(piece, BROKEN, probe['version'], f'taken from another checkout: {place}', mend)
    return Row(piece, OK, probe['version'], 'registered with mmdet')


def failed(facts: Facts, piece: str, mend: str) -> Row:
    """The row of a piece whose probe failed."""
    probe, found = facts.probes[piece], providers(facts, piece)
    if not found and probe.get('lacks') == piece:
        return Row(piece, MISSING, '', 'not installed', mend)
    return Row(piece, BROKEN, facts.distributions[found[0]] if found else '', probe['error'], mend)


def supported(python: Sequence[int]) -> bool:
    return (3, 10) <= tuple(python[:2]) <= (3, 12)


def providers(facts: Facts, piece: str) -> list[str]:
    """The installed distributions that bring a piece."""
    return [name for name in PROVIDERS.get(piece, (piece,)) if name in facts.distributions]


def install(needs: Needs, *names: str, options: str = '') -> str:
    """A pip command for distributions in the version that the requirements name."""
    wanted = [shlex.quote(name + needs.requirements.get(name, '')) for name in names]
    return ' '.join([needs.pip, 'install', *filter(None, [options]), *wanted])


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: '2.13.0+cpu' -> (2, 13, 0)."""
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in match.group().split('.')) if match else ()


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies in a range such as '>=1.26,<3' (the operators that our files use)."""
    for clause in filter(None, wanted.split(',')):
        operator, bound = re.match(r'(==|>=|<)(.+)', clause).groups()
        width = max(len(release(version)), len(release(bound)))
        have, want = ((*release(v), *(0,) * width)[:width] for v in (version, bound))
        if not {'==': have == want, '>=': have >= want, '<': have < want}[operator]:
            return False
    return True


def read_requirements(*paths: Path) -> dict[str, str]:
    """Version range by distribution name; comments and empty lines are left out."""
    lines = [line.strip() for path in paths for line in path.read_text('utf-8').splitlines()]
    named = [re.match(r'([\w.-]+)([^#;]*)', line) for line in lines if line and line[0] != '#']
    return {match.group(1).lower(): match.group(2).replace(' ', '') for match in named}


def run_probes(pieces: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Probe in one child process, and in one more after each piece that kills it."""
    results: dict[str, dict[str, Any]] = {}
    left = list(pieces)
    with tempfile.TemporaryDirectory() as empty:
        while left:
            child = subprocess.Popen(
                [sys.executable, str(PROBES_FILE), *left],
                cwd=empty,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            try:
                output = child.communicate(timeout=PROBE_SECONDS)[0]
                reason = f'its import ended Python (status {child.returncode})'
            except subprocess.TimeoutExpired:
                child.kill()
                output, reason = child.communicate()[0], f'no answer within {PROBE_SECONDS} s'
            for line in output.splitlines():
                results[left.pop(0)] = json.loads(line)
            if left:
                results[left.pop(0)] = {'error': reason}
    return results


def look(pieces: Sequence[str]) -> Facts:
    """Collect the facts about the running Python's environment."""
    if not supported(sys.version_info):
        return Facts(sys.version_info[:3], {}, {})
    from importlib import metadata  # an older Python lacks it, and is told so in a row

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
    if not shutil.which('nvidia-smi'):
        return False
    listing = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, check=False)
    return listing.returncode == 0 and 'GPU 0' in listing.stdout


def this_machine(*, cuda: str, dev: bool) -> Needs:
    """What is needed here, with commands that can be typed in the working directory."""
    files = ['requirements.txt', 'requirements/detector.txt']
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
    shown = [row for row in rows if row.mend or not quiet]
    piece_width = max((len(row.piece) for row in shown), default=0)
    version_width = max((len(row.version) for row in shown), default=0)
    for row in shown:
        line = f'{row.piece:{piece_width}}  {row.version:{version_width}}  {row.state:7}  '
        print((line + row.detail).rstrip())
    for command in dict.fromkeys(row.mend for row in rows if row.mend):
        pieces = ', '.join(row.piece for row in rows if row.mend == command)
        print(f'\nto mend {pieces}:\n    {command}')
    own = ROOT / '.venv/bin/python'
    if not quiet and own.exists() and not in_own_venv():
        command = ' '.join(shlex.quote(os.path.relpath(path)) for path in (own, __file__))
        print(f'\nnote: this is {sys.executable}; for the environment in .venv: {command}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', action='store_true', help='print the rows as JSON')
    parser.add_argument('--quiet', action='store_true', help='print only what is wrong')
    parser.add_argument(
        '--only',
        action='append',
        metavar='PIECE',
        choices=PIECES,
        help='check this piece only (may be given several times)',
    )
    parser.add_argument('--dev', action='store_true', help='ask for what the tests need, too')
    parser.add_argument(
        '--cuda',
        choices=('auto', 'on', 'off'),
        default='auto',
        help='whether CUDA operators are needed (auto: if torch sees a GPU)',
    )
    args = parser.parse_args()

    pieces = args.only or PIECES
    rows = judge(look(pieces), this_machine(cuda=args.cuda, dev=args.dev), pieces)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        show(rows, quiet=args.quiet)
    sys.exit(any(row.mend for row in rows))


if __name__ == '__main__':
    main()
