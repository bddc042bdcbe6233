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

from benchmarks.speed.detector.configs import Contender
from mmdet_multigrain.launch import check_file
from mmdet_multigrain.utils.errors import MultigrainError
from mmdet_multigrain.utils.parallel import default_workers

FORMAT = 'detector benchmark 1'


class RecordError(MultigrainError):
    """A file is no record of a benchmark, or of another one; the message is one line."""


def begin(contenders: Sequence[Contender], plan: Any) -> dict[str, Any]:
    """A record without timings.

    Args:
        contenders: What will be measured.
        plan: What they will do.
    """
    # Through JSON, as what is read from a file is: lists, not tuples.
    return json.loads(
        json.dumps(
            {
                'format': FORMAT,
                'runs': [_describe_run()],
                'plan': dataclasses.asdict(plan),
                'configs': {
                    one.name: {
                        'source': one.source,
                        'precision': one.precision,
                        'speed': one.speed,
                        'reference': one.reference,
                        'sha256': one.digest,
                    }
                    for one in contenders
                },
                'images': {},
                'measured': {},
            }
        )
    )


def describe(record: dict[str, Any], workers: Mapping[str, Any]) -> None:
    """Note what the contenders' processes say of themselves."""
    for name, config in record['configs'].items():
        config.update(workers[name].description)


def add_peaks(record: dict[str, Any], workers: Mapping[str, Any]) -> None:
    """Note the FLOP/s of a large matrix product, measured once for each precision.

    Last of all: the process that has done it would go on with another state of its allocator,
    which makes inference of small images faster by some percent.
    """
    peaks: dict[tuple[str, str], float] = {}
    for name, config in record['configs'].items():
        precision = config['precision'], config['dtype']
        if precision not in peaks:
            peaks[precision] = workers[name].ask('matmul_peak')
        config['matmul_flops'] = peaks[precision]


def _describe_run() -> dict[str, Any]:
    """The command of now, the code and the machine that it runs on."""
    import mmdet_multigrain
    from mmdet_multigrain.engine.hooks.run_record_hook import git_revision, versions

    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return {
        'command': shlex.join(['python', '-m', 'benchmarks.speed.detectors', *sys.argv[1:]]),
        'began': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'git_revision': git_revision(Path(mmdet_multigrain.__file__).parent),
        'versions': versions(),
        'system': f'{platform.system()} {platform.machine()}',
        'processor': _processor(),
        'cores': default_workers(),
        'memory_gib': round(memory / 2**30, 1),
        'load_average': os.getloadavg()[0],
    }


def _processor() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next((line.partition(': ')[2] for line in lines if line.startswith('model name')), '')


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
        raise RecordError(f'{path}: not a file that benchmarks.speed.detectors wrote; name another')
    return record


def check_same(record: Mapping[str, Any], new: Mapping[str, Any], *, path: Path) -> None:
    """Raise a RecordError if the rounds of a record cannot stand beside those of another.

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
    """What makes the timings of two records something else, in words."""
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
    """A record with the rounds of another one behind its own; see `check_same`."""
    configs = {
        name: config
        | {'matmul_flops': max(config['matmul_flops'], new['configs'][name]['matmul_flops'])}
        for name, config in record['configs'].items()
    }
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
    """The timings of two runs of one kind."""
    lists = {
        key: {name: values + new[key][name] for name, values in old[key].items()}
        for key in ('seconds', 'stages')
        if key in old and key in new
    }
    peaks = {name: max(peak, new['peak_mb'][name]) for name, peak in old['peak_mb'].items()}
    return {**old, **new, **lists, 'peak_mb': peaks}
