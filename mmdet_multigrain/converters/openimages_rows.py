"""Rows of Open Images' CSV files: named columns as text, read in blocks, damage reported by line.

A row is a line here, so a damaged one (a quote, a comma or a field too many or too few) cannot
spoil its neighbors, and line numbers are those of a text editor.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import gzip
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl

from mmdet_multigrain.utils.errors import ConverterError
from mmdet_multigrain.utils.messages import show
from mmdet_multigrain.utils.problems import Problems
from mmdet_multigrain.utils.progress import progress_bar

BLOCK_BYTES = 1 << 22  # with what is made of it, about a processor's cache: larger ones are slower
BATCH_ROWS = 1 << 17  # rows that are worked on at a time, ...
BATCH_BYTES = 1 << 25  # ... and their text: three times that of as many usual rows
MAX_THREADS = 8  # more would wait for the disk
GZIP_MAGIC = b'\x1f\x8b'


def read_rows(
    path: str | Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    problems: Problems,
    containing: Collection[str] | None = None,
    progress: bool = False,
) -> Iterator[pl.DataFrame]:
    """Read columns of a CSV file by the names in its first line, whatever their order and case.

    The file may be compressed with gzip, have a byte-order mark, Windows line ends and quotes.
    Empty lines are passed over. Memory does not grow with the file.

    Args:
        path: The file.
        required: Columns that must be there.
        optional: Columns that are read where they are there; all others are ignored.
        problems: Where rows with a wrong number of fields are counted, wanted or not.
        containing: Only rows that contain one of these texts are wanted, in whichever column.
        progress: Show a progress bar.

    Yields:
        Frames of `line` (the header is line 1) and the columns, as text without outer blanks.

    Raises:
        ConverterError: The file cannot be read, or a column is missing.
    """
    path = Path(path)
    options = dict(desc=path.name, unit='B', unit_scale=True, show=progress)
    with _opened(path) as (raw, file), progress_bar(total=path.stat().st_size, **options) as bar:
        with _naming(path):
            header = file.readline(BLOCK_BYTES)
        columns, width = _columns(header, required, optional, path)
        wanted = pl.lit(True)
        if containing is not None:
            wanted = pl.col('text').str.count_matches(',', literal=True) != width - 1
            # Commas may be quoted; what is not wanted anyway is not worth a closer look then.
            wanted &= ~pl.col('text').str.contains('"', literal=True)
            wanted |= pl.col('text').str.contains_any(list(containing))
        kept, num_kept, num_bytes, line = [], 0, 0, 2
        for lines, count in _sieved(_blocks(file, path), wanted):
            kept.append(lines.with_columns(pl.col('line') + line))
            line, num_kept = line + count, num_kept + len(lines)
            num_bytes += lines['text'].str.len_bytes().sum()
            bar.update(raw.tell() - bar.n)
            if num_kept >= BATCH_ROWS or num_bytes >= BATCH_BYTES:
                yield _split(pl.concat(kept), columns, width, path, problems)
                kept, num_kept, num_bytes = [], 0, 0
        if kept:
            yield _split(pl.concat(kept), columns, width, path, problems)


def _sieved(blocks: Iterable[bytes], wanted: pl.Expr) -> Iterator[tuple[pl.DataFrame, int]]:
    """`_sieve` of each block, a few at the same time: most of it uses one core only."""
    threads = min(pl.thread_pool_size(), MAX_THREADS)
    pending: collections.deque[Future[tuple[pl.DataFrame, int]]] = collections.deque()
    with ThreadPoolExecutor(threads) as pool:
        for block in blocks:
            pending.append(pool.submit(_sieve, block, wanted))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _sieve(block: bytes, wanted: pl.Expr) -> tuple[pl.DataFrame, int]:
    """The wanted lines of a block, counted from 0, and how many lines it has."""
    lines = pl.Series('text', [block.decode('utf-8', 'replace')]).str.split('\n').explode()
    kept = lines.to_frame().with_row_index('line').filter(wanted)
    # A copy: else the few lines that are kept would keep all the block's text in memory.
    return kept.with_columns(pl.concat_str('text', pl.lit(''))), len(lines)


def add_rows(
    problems: Problems, kind: str, rows: pl.DataFrame, describe: Callable[[dict[str, Any]], str]
) -> None:
    """Count rows as one kind of problem, the first ones as examples."""
    examples = rows.head(problems.max_examples)
    for row in examples.iter_rows(named=True):
        problems.add(kind, describe(row))
    if len(rows) > len(examples):
        problems.counts[kind] += len(rows) - len(examples)


def leave_out(
    rows: pl.DataFrame,
    bad: pl.Expr,
    problems: Problems,
    kind: str,
    describe: Callable[[dict[str, Any]], str],
) -> pl.DataFrame:
    """The rows without bad ones, which are counted as one kind of problem."""
    add_rows(problems, kind, rows.filter(bad), describe)
    return rows.filter(~bad)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file, and what it holds decompressed."""
    if not path.is_file():
        folder = 'this is a folder; name a CSV file in it'
        raise ConverterError(
            f'{path}: {folder if path.is_dir() else "no such file; check the path"}'
        )
    with _naming(path):
        raw = open(path, 'rb')  # closed below
    with raw:
        with _naming(path):
            compressed = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
        yield raw, gzip.GzipFile(fileobj=raw) if compressed else raw


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what reading may raise into one line that names the file."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, 'strerror', None) or error
        raise ConverterError(
            f'{path}: cannot be read ({reason}); fetch it again, or correct its permissions'
        ) from None


def _blocks(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """The rest of a file in pieces of whole lines, without the last line end of each."""
    rest = b''
    while True:
        with _naming(path):
            block = file.read(BLOCK_BYTES)
        if not block:
            break
        whole, newline, rest = (rest + block).rpartition(b'\n')
        if newline:
            yield whole
        elif len(rest) > BLOCK_BYTES:
            raise ConverterError(
                f'{path}: a line of over {BLOCK_BYTES:,} bytes; this is not a CSV '
                'file with a row on each line'
            )
    if rest:
        yield rest


def _columns(
    header: bytes, required: Sequence[str], optional: Sequence[str], path: Path
) -> tuple[dict[str, int], int]:
    """The position of each column, and how many there are in all."""
    text = header.decode('utf-8-sig', 'replace').strip()
    if not text:
        raise ConverterError(
            f'{path}: the file or its first line is empty; the first line must name the columns'
        )
    names = [field.strip().casefold() for field in _fields(text)]
    missing = [name for name in required if name.casefold() not in names]
    if missing:
        raise ConverterError(
            f'{path}: no column {", ".join(missing)}; the first line must name the columns, with '
            f'commas, as UTF-8 text, but is {show(text)}'
        )
    wanted = [name for name in (*required, *optional) if name.casefold() in names]
    for name in wanted:
        if names.count(name.casefold()) > 1:
            raise ConverterError(f'{path}: two columns are named {name}; rename one')
    return {name: names.index(name.casefold()) for name in wanted}, len(names)


def _fields(line: str) -> list[str]:
    """The fields of a line that may have quotes; none if they cannot be separated."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _split(
    lines: pl.DataFrame, columns: dict[str, int], width: int, path: Path, problems: Problems
) -> pl.DataFrame:
    """Lines -> columns; lines with a wrong number of fields are counted and left out."""
    lines = lines.filter(pl.col('text').str.strip_chars() != '')
    quoted = pl.col('text').str.contains('"', literal=True)
    # A damaged line may have a million fields; they are not separated if there are too many.
    lines = lines.with_columns(
        count=pl.col('text').str.count_matches(',', literal=True).cast(pl.Int64) + 1
    )
    whole = pl.col('count') == width
    rows = lines.filter(~quoted & whole).with_columns(fields=pl.col('text').str.split(','))
    wrong = lines.filter(~quoted & ~whole)
    odd = lines.filter(quoted)
    if len(odd):
        fields = [_fields(text.rstrip('\r')) for text in odd['text']]
        kept = [part if len(part) == width else None for part in fields]
        odd = odd.with_columns(
            count=pl.Series([*map(len, fields)], dtype=pl.Int64),
            fields=pl.Series(kept, dtype=pl.List(pl.String)),
        )
        rows = pl.concat([rows, odd.filter(whole)]).sort('line')
        wrong = pl.concat([wrong, odd.filter(~whole).drop('fields')]).sort('line')
    add_rows(
        problems,
        'row with a wrong number of fields',
        wrong,
        lambda row: f'{path.name} line {row["line"]} ({row["count"]}, not {width})',
    )
    fields = pl.col('fields').list
    texts = {name: fields.get(place).str.strip_chars() for name, place in columns.items()}
    return rows.select('line', **texts)
