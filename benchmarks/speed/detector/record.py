"""The JSON file of a benchmark of detectors: what was measured, on what, and by which command."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.records import describe_run
from benchmarks.speed.detector.contenders import Contender
from mmdet_multigrain.launch import check_file
from mmdet_multigrain.utils.errors import MultigrainError

FORMAT = 'detector benchmark 1'


class RecordError(MultigrainError):
    """A file is not a record of a benchmark, or is one of another benchmark."""


def begin(contenders: Sequence[Contender], plan: Any) -> dict[str, Any]:
    """A record without timings.

    Args:
        contenders: What will be measured.
        plan: What they will do.
    """
    record = {
        'format': FORMAT,
        'runs': [describe_run()],
        'plan': dataclasses.asdict(plan),
        'configs': {one.name: one.describe() for one in contenders},
        'images': {},
        'measured': {},
    }
    return json.loads(json.dumps(record))  # as if read from a file: lists, not tuples


def add_peaks(record: dict[str, Any], workers: Mapping[str, Any]) -> None:
    """Record the FLOP/s of a large matrix product, measured once for each precision.

    Last of all: it changes the state of the process's allocator, which would make inference of
    small images a few percent faster.
    """
    peaks: dict[tuple[str, str], float] = {}
    for name, config in record['configs'].items():
        precision = config['precision'], config['dtype']
        if precision not in peaks:
            peaks[precision] = workers[name].ask('matmul_peak')
        config['matmul_flops'] = peaks[precision]


def read_record(path: Path) -> dict[str, Any]:
    """A record from its file.

    Raises:
        RecordError: It is not a record.
    """
    try:
        record = json.loads(check_file(path, 'file of a benchmark').read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get('format') != FORMAT:
        raise RecordError(f'{path}: not a file of the benchmark of detectors; name another')
    return record


def check_same(record: Mapping[str, Any], new: Mapping[str, Any], *, path: Path) -> None:
    """Raise a RecordError if the rounds of two records must not be mixed.

    Args:
        record: The one.
        new: The other; what it does not know yet is not compared.
        path: File of the first one, for the message.
    """
    difference = next(_differences(record, new), None)
    if difference is not None:
        raise RecordError(
            f'{path}: was measured with another {difference}; leave out --append, '
            'or name another file'
        )


def _differences(record: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Why the timings of two records cannot be compared, in words."""
    for key, value in record['plan'].items():
        if value != new['plan'].get(key):
            yield f'{key} ({value}, now {new["plan"].get(key)})'
    if list(record['configs']) != list(new['configs']):
        yield f'set of configs ({", ".join(record["configs"])})'
    for name, config in record['configs'].items():
        for key, value in new['configs'][name].items():
            if key not in ('source', 'matmul_flops') and value != config.get(key):
                yield f'{name} ({key})'
    for key in ('versions', 'processor', 'cores'):
        if record['runs'][-1][key] != new['runs'][0][key]:
            yield f'machine or installation ({key})'


def joined(record: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the rounds of another one after its own; see `check_same`."""
    configs = {}
    for name, config in record['configs'].items():
        peak = max(config['matmul_flops'], new['configs'][name]['matmul_flops'])
        configs[name] = config | {'matmul_flops': peak}
    measured = dict(record['measured'])
    for what, values in new['measured'].items():
        measured[what] = _joined(measured[what], values) if what in measured else values
    return {
        **record,
        'runs': [*record['runs'], *new['runs']],
        'configs': configs,
        'images': record['images'] | new['images'],
        'measured': measured,
    }


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The timings of two runs of one kind of work."""
    lists = {
        key: {name: values + new[key][name] for name, values in old[key].items()}
        for key in ('seconds', 'stages')
        if key in old and key in new
    }
    peaks = {name: max(peak, new['peak_mb'][name]) for name, peak in old['peak_mb'].items()}
    return {**old, **new, **lists, 'peak_mb': peaks}
