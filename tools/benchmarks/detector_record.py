"""The JSON file of a benchmark of detectors: what was measured, on what, and by which command."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detector_configs import Contender
from mmdet_multigrain.launch import check_file
from mmdet_multigrain.parallel import default_workers

FORMAT = 'detector benchmark 1'


class RecordError(ValueError):
    """A file is no record of a benchmark, or of another one; the message is one line."""


def describe_run() -> dict[str, Any]:
    """The command of now, the code and the machine that it runs on."""
    import mmdet_multigrain
    from mmdet_multigrain.engine.hooks.run_record_hook import git_revision, versions

    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return {
        'command': shlex.join(['python', 'tools/benchmark.py', *sys.argv[1:]]),
        'began': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'git_revision': git_revision(Path(mmdet_multigrain.__file__).parent),
        'versions': versions(),
        'system': f'{platform.system()} {platform.machine()}',
        'processor': _processor(), 'cores': default_workers(),
        'memory_gib': round(memory / 2**30, 1),
        'load_average': os.getloadavg()[0]}


def _processor() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next((line.partition(': ')[2] for line in lines if line.startswith('model name')), '')


def make_record(contenders: Sequence[Contender], plan: Any, *, run: Mapping[str, Any],
                descriptions: Mapping[str, Mapping[str, Any]],
                measured: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about one run.

    Args:
        contenders: What was measured.
        plan: What they did.
        run: Of ``describe_run``.
        descriptions: What each contender says of itself, by name.
        measured: Of ``detector_rounds.measure``, by what was measured.
    """
    # Through JSON, as what is read from a file is: lists, not tuples.
    return json.loads(json.dumps({
        'format': FORMAT,
        'runs': [run],
        'plan': dataclasses.asdict(plan),
        'configs': {one.name: {
            'source': one.source, 'precision': one.precision, 'reference': one.reference,
            'sha256': one.digest, **descriptions[one.name]} for one in contenders},
        'images': {what: plan.images_of(what) for what in measured},
        'measured': measured}))


def read_record(path: Path) -> dict[str, Any]:
    """A record from its file.

    Raises:
        RecordError: It is none.
    """
    try:
        record = json.loads(check_file(path, 'file of a benchmark').read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        record = None
    if not isinstance(record, dict) or record.get('format') != FORMAT:
        raise RecordError(f'{path}: not a file that tools/benchmark.py wrote; name another')
    return record


def append(record: Mapping[str, Any], new: Mapping[str, Any], *, path: Path) -> dict[str, Any]:
    """A record with the rounds of another one behind its own.

    Raises:
        RecordError: They did not measure the same; the message names the record's file.
    """
    difference = next(_differences(record, new), None)
    if difference is not None:
        raise RecordError(f'{path}: was measured with another {difference}; leave out --append, '
                          'or name another file')
    configs = {name: {**new['configs'][name], 'matmul_flops': max(
        one['configs'][name]['matmul_flops'] for one in (record, new))}
        for name in record['configs']}
    measured = dict(record['measured'])
    for what, values in new['measured'].items():
        measured[what] = _joined(measured[what], values) if what in measured else values
    return {**record, 'runs': [*record['runs'], *new['runs']], 'configs': configs,
            'images': {**record['images'], **new['images']}, 'measured': measured}


def _differences(record: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What makes the timings of two records something else, in words."""
    for key, value in record['plan'].items():
        if value != new['plan'][key]:
            yield f'{key} ({value}, now {new["plan"][key]})'
    if list(record['configs']) != list(new['configs']):
        yield f'set of configs ({", ".join(record["configs"])})'
    for name in record['configs']:
        for key in ('sha256', 'precision', 'reference', 'device', 'threads'):
            if record['configs'][name][key] != new['configs'][name][key]:
                yield f'{name} ({key})'
    for key in ('versions', 'processor', 'cores'):
        if record['runs'][-1][key] != new['runs'][0][key]:
            yield f'machine or installation ({key})'


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The timings of two runs of one kind."""
    joined = {'seconds': {name: old['seconds'][name] + new['seconds'][name]
                          for name in old['seconds']},
              'peak_mb': {name: max(old['peak_mb'][name], new['peak_mb'][name])
                          for name in old['peak_mb']}}
    if 'stages' in old:
        joined['stages'] = {name: old['stages'][name] + new['stages'][name]
                            for name in old['stages']}
        joined['flops'] = new['flops']
    return joined
