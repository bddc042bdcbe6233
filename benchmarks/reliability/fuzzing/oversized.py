"""Files without end: what each reader says of them, in how much memory and time.

Each is read in a process of its own, whose peak memory and seconds have a bound: a fixed one
where a file is read in pieces or refused by its size, some multiples of the file where JSON is
read whole.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from .documents import TAXONOMY, fixed_coco
from .mutations import as_yaml
from .readers import READERS, as_table

Pieces = Iterator[bytes]
PIECE = 1 << 20
DEPTH = 10_000
BASE_MB = 700  # of a process with all libraries loaded, threads of polars included
PER_FILE = 5  # times a JSON file that is read whole: text, parsed, parsed again for NaN
GUARD_MB = 12_000  # of address space; beyond it a reader gets MemoryError


@dataclass(frozen=True)
class Giant:
    """A file for a reader.

    Attributes:
        reader: Key of `READERS`.
        name: Of the file.
        pieces: Its content, from the size that it should about have.
        per_file: How many times the file's size the reader may take in memory, beside `BASE_MB`.
        seconds: What it may take of a core, for files of 1 GB.
    """

    reader: str
    name: str
    pieces: Callable[[int], Pieces]
    per_file: float = 0
    seconds: float = 60


@dataclass(frozen=True)
class Row:
    """What became of a giant."""

    file_mb: float
    peak_mb: float
    bound_mb: float
    seconds: float
    bound_seconds: float
    said: str
    passed: bool


def _filled(size: int, head: bytes = b'', filling: bytes = b'x', tail: bytes = b'') -> Pieces:
    yield head
    piece = filling * (PIECE // len(filling))
    for _ in range(max(size // len(piece), 1)):
        yield piece
    yield tail


def _zipped(pieces: Pieces) -> Pieces:
    for piece in pieces:  # members one after the other are one file
        yield gzip.compress(piece, 1)


def _deep(_: int, before: bytes = b'', after: bytes = b'') -> Pieces:
    yield before + b'[' * DEPTH + b']' * DEPTH + after


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


def _row_of(columns: int) -> bytes:
    return b','.join(b'c%d' % number for number in range(columns)) + b'\n'


_BOX_HEAD = b'ImageID,LabelName,XMin,XMax,YMin,YMax\n'
GIANTS: dict[str, Giant] = {
    'yaml-line': Giant('taxonomy-yaml', 'x.yaml', lambda size: _filled(size, b'a: ')),
    'yaml-full': Giant(
        'taxonomy-yaml', 'x.yaml', lambda _: _filled(3 << 20, b'a: [', b'x, ', b']'), 200, 120
    ),
    'yaml-deep': Giant('taxonomy-yaml', 'x.yaml', _deep),
    'yaml-aliases': Giant('taxonomy-yaml', 'x.yaml', _laughs),
    'yaml-merges': Giant('taxonomy-yaml', 'x.yaml', _merges),
    'yaml-cycle': Giant(
        'taxonomy-yaml', 'x.yaml', lambda _: iter([b'groups: &g {a: *g, b: &h [c, *h]}'])
    ),
    'yaml-number': Giant(
        'taxonomy-yaml', 'x.yaml', lambda _: _filled(3 << 20, b'a: [1', b':1', b']')
    ),
    'supercategories-line': Giant(
        'taxonomy-coco',
        'x.json',
        lambda size: _filled(size, b'{"categories": [{"id": 1, "name": "', b'x', b'"}]}'),
        PER_FILE,
    ),
    **{
        f'{reader}-{kind}': Giant(reader, name, pieces, per_file, 120)
        for reader, name, head, tail in (
            ('coco', 'x.json', b'{"images": ', b'}'),
            ('check-dataset', 'x.json', b'{"images": ', b'}'),
            ('dataset-stats', 'x.json', b'{"images": ', b'}'),
            ('detections', 'dets.json', b'[{"image_id": ', b'}]'),
        )
        for kind, pieces, per_file in (
            ('line', functools.partial(_filled, head=head + b'"', tail=b'"' + tail), PER_FILE),
            ('cut', functools.partial(_filled, head=head + b'"'), PER_FILE),
            ('deep', functools.partial(_deep, before=head, after=tail), 0),
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
        for reader, name in (
            ('deepfashion2', '1.json'),
            ('openimages-hierarchy', 'hierarchy.json'),
            ('result', 'result.json'),
        )
        for kind, pieces in (
            ('line', lambda size: _filled(size, b'{"a": "', b'x', b'"}')),
            ('deep', functools.partial(_deep, before=b'{"a": ', after=b'}')),
        )
    },
    'boxes-line': Giant('openimages-boxes', 'boxes.csv', lambda size: _filled(size, _BOX_HEAD)),
    'boxes-header': Giant('openimages-boxes', 'boxes.csv', _filled),
    'boxes-quote': Giant(
        'openimages-boxes', 'boxes.csv', lambda size: _filled(size, _BOX_HEAD + b'"')
    ),
    'boxes-columns': Giant(
        'openimages-boxes',
        'boxes.csv',
        lambda _: iter([_row_of(1_000_000), b'1,' * 999_999 + b'1\n']),
    ),
    'boxes-commas': Giant(
        'openimages-boxes',
        'boxes.csv',
        lambda size: _filled(size, _BOX_HEAD, b',' * 9999 + b'/m/01n4qj\n'),
        seconds=300,
    ),
    'boxes-zipped-zeros': Giant(
        'openimages-boxes', 'boxes.csv', lambda size: _zipped(_filled(size, _BOX_HEAD, b'\0'))
    ),
    'boxes-zipped-rows': Giant(
        'openimages-boxes',
        'boxes.csv',
        lambda size: _zipped(_filled(size, _BOX_HEAD, b'0001,/m/0c_jw,0.1,0.2,0.3,0.4\n')),
        seconds=300,
    ),
    'sizes-line': Giant(
        'openimages-sizes', 'sizes.csv', lambda size: _filled(size, b'ImageID,Width,Height\n')
    ),
    'descriptions-line': Giant('openimages-descriptions', 'descriptions.csv', _filled),
    'descriptions-full': Giant(
        'openimages-descriptions',
        'descriptions.csv',
        lambda _: iter(b'/m/%d,name %d\n' % (number, number) for number in range(100_000)),
    ),
}


def run_giant(name: str, *, size: int) -> Row:
    """Read a giant in a process of its own.

    Args:
        name: Key of `GIANTS`.
        size: Bytes of those that can be of any size.
    """
    giant = GIANTS[name]
    with tempfile.TemporaryDirectory(prefix='giant') as folder:
        for other, content in _others().items():
            Path(folder, other).write_bytes(content)
        path = Path(folder, giant.name)
        with open(path, 'wb') as file:
            for piece in giant.pieces(size):
                file.write(piece)
        file_mb = path.stat().st_size / 1e6
        context = multiprocessing.get_context('spawn')
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_read, args=(giant.reader, folder, sender))
        process.start()
        sender.close()
        said, peak_mb, seconds = 'the process died, or waits for ever', float('nan'), float('nan')
        with contextlib.suppress(EOFError):
            if receiver.poll(20 * giant.seconds):
                said, peak_mb, seconds = receiver.recv()
        process.kill()
        process.join()
        left = {str(file.relative_to(folder)) for file in Path(folder).rglob('*') if file.is_file()}
    said = said.replace(folder, '')
    bound_mb = BASE_MB + giant.per_file * file_mb
    passed = (
        said.startswith(('refused: ', 'accepted'))
        and peak_mb <= bound_mb
        and seconds <= giant.seconds
        and not [file for file in left if '.tmp' in file]
    )
    return Row(file_mb, peak_mb, bound_mb, seconds, giant.seconds, said[:200], passed)


def _others() -> dict[str, bytes]:
    """What stands beside the file; readers find what they need."""
    coco = json.dumps(fixed_coco()).encode()
    return {
        '2.json': b'{}',
        'val.json': coco,
        'whole.json': b'{}',
        't.yaml': as_yaml(TAXONOMY),
        'sizes.csv': b'ImageID,Width,Height\n0001,640,480\n',
        'boxes.csv': _BOX_HEAD + b'0001,/m/01n4qj,0.1,0.2,0.3,0.4\n',
        'descriptions.csv': as_table(
            [('/m/01n4qj', 'shirt'), ('/m/1', 'vest'), ('/m/2', 'skirt'), ('/m/3', 'hat')]
        ),
    }


def _read(reader: str, folder: str, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (GUARD_MB * 10**6, resource.RLIM_INFINITY))
    started = time.process_time()
    try:
        READERS[reader].read(Path(folder))
        said = 'accepted'
    except (Exception, SystemExit) as error:
        ours = isinstance(error, ValueError) and type(error).__module__.startswith(
            'mmdet_multigrain.'
        )
        said = f'{"refused" if ours else type(error).__name__}: {str(error)[:1000]}'
    status = Path('/proc/self/status').read_text().split()
    sender.send(
        (said, int(status[status.index('VmHWM:') + 1]) * 1024 / 1e6, time.process_time() - started)
    )
