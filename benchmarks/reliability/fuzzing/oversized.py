"""Oversized files: what each reader says about them, in how much memory and time.

Each is read in a separate process, whose peak memory and seconds have a bound: a fixed one
where a file is read in pieces or refused by its size, some multiples of the file where JSON is
read whole.
"""

from __future__ import annotations

import faulthandler
import functools
import gzip
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.processes import Measured, measure
from benchmarks.reliability.fuzzing.documents import TAXONOMY, fixed_coco
from benchmarks.reliability.fuzzing.mutations import as_json, as_table, as_yaml
from benchmarks.reliability.fuzzing.readers import READERS
from mmdet_multigrain.utils.errors import MultigrainError

Pieces = Iterator[bytes]
PIECE = 1 << 20
DEPTH = 10_000
BASE_MB = 700  # of a process with all libraries loaded, threads of polars included
PER_FILE = 5  # times a JSON file that is read whole: text, parsed, parsed again for NaN
GUARD_MB = 12_000  # of address space; beyond it a reader gets MemoryError
PATIENCE = 20  # times a bound of seconds: then the process ends


@dataclass(frozen=True)
class Giant:
    """A file for a reader."""

    reader: str  # key of `READERS`
    name: str  # of the file
    pieces: Callable[[int], Pieces]  # its content, given its approximate size in bytes
    # how many times the file's size the reader may take in memory, besides `BASE_MB`
    per_file: float = 0
    seconds: float = 60  # what it may take of a core, for files of 1 GB


@dataclass(frozen=True)
class Row:
    """The outcome for a giant."""

    file_mb: float
    peak_mb: float
    bound_mb: float
    seconds: float
    bound_seconds: float
    said: str

    @property
    def passed(self) -> bool:
        """Whether the reader answered within its bounds; NaN is not within any."""
        answered = self.said.startswith(('refused: ', 'accepted'))
        within = self.peak_mb <= self.bound_mb and self.seconds <= self.bound_seconds
        return answered and within


def _filled(size: int, head: bytes = b'', filling: bytes = b'x', tail: bytes = b'') -> Pieces:
    yield head
    piece = filling * (PIECE // len(filling))
    for _ in range(max(size // len(piece), 1)):
        yield piece
    yield tail


def _zipped(size: int, head: bytes, filling: bytes) -> Pieces:
    for piece in _filled(size, head, filling):  # consecutive members are one file
        yield gzip.compress(piece, 1)


def _deep(_: int, head: bytes = b'', tail: bytes = b'') -> Pieces:
    yield head + b'[' * DEPTH + b']' * DEPTH + tail


def _laughs(_: int) -> Pieces:
    """A billion aliases."""
    yield b'a0: &a0 [x, y]\n'
    for level in range(1, 31):
        yield b'a%d: &a%d [%b]\n' % (level, level, b', '.join([b'*a%d' % (level - 1)] * 9))


def _merges(_: int) -> Pieces:
    """2^30 keys, merged."""
    yield b'a0: &a0 {x: [y]}\n'
    for level in range(1, 31):
        yield b'a%d: &a%d {<<: [*a%d, *a%d]}\n' % (level, level, level - 1, level - 1)


def _wide(_: int) -> Pieces:
    """A million columns."""
    yield b','.join(b'c%d' % number for number in range(1_000_000))
    yield b'\n' + b'1,' * 999_999 + b'1\n'


def _names(_: int) -> Pieces:
    for number in range(100_000):
        yield b'/m/%d,name %d\n' % (number, number)


_with = functools.partial
_yaml = _with(Giant, 'taxonomy-yaml', 'x.yaml')
_boxes = _with(Giant, 'openimages-boxes', 'boxes.csv')
_descriptions = _with(Giant, 'openimages-descriptions', 'descriptions.csv')
_BOX_HEAD = b'ImageID,LabelName,XMin,XMax,YMin,YMax\n'
_CATEGORY = b'{"categories": [{"id": 1, "name": "'
_ROW = b'0001,/m/0c_jw,0.1,0.2,0.3,0.4\n'
_READ_WHOLE = {  # reader: file, and what is around the value
    'coco': ('x.json', b'{"images": ', b'}'),
    'check-dataset': ('x.json', b'{"images": ', b'}'),
    'dataset-stats': ('x.json', b'{"images": ', b'}'),
    'detections': ('dets.json', b'[{"image_id": ', b'}]'),
}
_LIMITED = {
    'deepfashion2': '1.json',
    'openimages-hierarchy': 'hierarchy.json',
    'result': 'result.json',
}
GIANTS: dict[str, Giant] = {
    'yaml-line': _yaml(_with(_filled, head=b'a: ')),
    'yaml-full': _yaml(lambda _: _filled(3 << 20, b'a: [', b'x, ', b']'), 200, 120),
    'yaml-deep': _yaml(_deep),
    'yaml-aliases': _yaml(_laughs),
    'yaml-merges': _yaml(_merges),
    'yaml-cycle': _yaml(lambda _: iter([b'groups: &g {a: *g, b: &h [c, *h]}'])),
    'yaml-number': _yaml(lambda _: _filled(3 << 20, b'a: [1', b':1', b']')),
    'supercategories-line': Giant(
        'taxonomy-coco', 'x.json', _with(_filled, head=_CATEGORY, tail=b'"}]}'), PER_FILE
    ),
    **{
        f'{reader}-{kind}': Giant(reader, name, pieces, per_file, 120)
        for reader, (name, head, tail) in _READ_WHOLE.items()
        for kind, pieces, per_file in (
            ('line', _with(_filled, head=head + b'"', tail=b'"' + tail), PER_FILE),
            ('cut', _with(_filled, head=head + b'"'), PER_FILE),
            ('deep', _with(_deep, head=head, tail=tail), 0),
        )
    },
    'coco-numbers': Giant(
        'coco',
        'x.json',
        lambda size: _filled(size // 10, b'{"images": [', b'1, ' * 99, b'1]}'),
        12 * PER_FILE,
        300,
    ),
    **{
        f'{reader}-{kind}': Giant(reader, name, pieces)
        for reader, name in _LIMITED.items()
        for kind, pieces in (
            ('line', _with(_filled, head=b'{"a": "', tail=b'"}')),
            ('deep', _with(_deep, head=b'{"a": ', tail=b'}')),
        )
    },
    'boxes-line': _boxes(_with(_filled, head=_BOX_HEAD)),
    'boxes-header': _boxes(_filled),
    'boxes-quote': _boxes(_with(_filled, head=_BOX_HEAD + b'"')),
    'boxes-columns': _boxes(_wide),
    'boxes-commas': _boxes(
        _with(_filled, head=_BOX_HEAD, filling=b',' * 9999 + b'/m/01n4qj\n'), seconds=300
    ),
    'boxes-zipped-zeros': _boxes(_with(_zipped, head=_BOX_HEAD, filling=b'\0')),
    'boxes-zipped-rows': _boxes(_with(_zipped, head=_BOX_HEAD, filling=_ROW), seconds=300),
    'sizes-line': Giant(
        'openimages-sizes', 'sizes.csv', _with(_filled, head=b'ImageID,Width,Height\n')
    ),
    'descriptions-line': _descriptions(_filled),
    'descriptions-full': _descriptions(_names),
}


def run_giant(name: str, *, size: int) -> Row:
    """Read one of `GIANTS` in a separate process; of this size in bytes, if it can be of any."""
    giant = GIANTS[name]
    with tempfile.TemporaryDirectory(prefix='giant') as name:
        folder = Path(name)
        for other, content in other_files().items():
            (folder / other).write_bytes(content)
        with open(folder / giant.name, 'wb') as file:
            for piece in giant.pieces(size):
                file.write(piece)
            file_mb = file.tell() / 1e6
        try:
            run = measure(functools.partial(_read, giant.reader, folder, PATIENCE * giant.seconds))
        except BrokenProcessPool:
            run = Measured('the process died or hung', *[float('nan')] * 4)
        unfinished = [path.name for path in folder.rglob('*.tmp')]
    said = f'left {unfinished[0]}' if unfinished else run.value.replace(str(folder), '')
    bound_mb = BASE_MB + giant.per_file * file_mb
    return Row(file_mb, run.peak_mb, bound_mb, run.cpu_seconds, giant.seconds, said[:200])


def other_files() -> dict[str, bytes]:
    """Files that readers may need besides the giant."""
    labels = [('/m/01n4qj', 'shirt'), ('/m/1', 'vest'), ('/m/2', 'skirt'), ('/m/3', 'hat')]
    return {
        '2.json': b'{}',
        'val.json': as_json(fixed_coco()),
        'intact.json': b'{}',
        't.yaml': as_yaml(TAXONOMY),
        'sizes.csv': b'ImageID,Width,Height\n0001,640,480\n',
        'boxes.csv': _BOX_HEAD + b'0001,/m/01n4qj,0.1,0.2,0.3,0.4\n',
        'descriptions.csv': as_table(labels),
    }


def _read(reader: str, folder: Path, patience: float) -> str:
    resource.setrlimit(resource.RLIMIT_AS, (GUARD_MB * 10**6, resource.RLIM_INFINITY))
    faulthandler.dump_traceback_later(patience, exit=True, file=sys.__stderr__)
    try:
        READERS[reader].read(folder)
    except MultigrainError as error:
        return f'refused: {str(error)[:1000]}'
    except (Exception, SystemExit) as error:
        return f'{type(error).__name__}: {str(error)[:1000]}'
    finally:
        faulthandler.cancel_dump_traceback_later()
    return 'accepted'
