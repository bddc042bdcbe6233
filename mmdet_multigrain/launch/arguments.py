"""Arguments that several command lines share, as MMDetection's users type them."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmdet_multigrain.speed import option_names

from .files import add_force


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that training and testing share, as MMDetection's users type them."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and results')
    add_cfg_options(parser)
    add_trust_checkpoint(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torch.distributed.launch hands it over; torchrun sets the environment variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The argument --cfg-options KEY=VALUE ..., as MMDetection's users type it.

    `cfg_options` is a dict of the values, `cfg_options_text` a list of what was typed.
    """
    from mmengine.config import DictAction

    class Options(DictAction):
        @staticmethod
        def _parse_iterable(val: str) -> Any:
            # MMEngine takes blanks out of all values; paths and names may have some.
            if ',' in val or val.strip('\'"')[:1] in ('[', '('):
                kept = re.sub(r'(?<=[^\s,()\[\]]) (?=[^\s,()\[\]])', '\0', val)
                return _with_blanks(DictAction._parse_iterable(kept))
            if len(val) > 1 and val[0] == val[-1] and val[0] in '\'"':
                val = val[1:-1]
            return DictAction._parse_int_float_bool(val)

        def __call__(self, parser, namespace, values, option_string=None) -> None:
            super().__call__(parser, namespace, values, option_string)
            namespace.cfg_options_text = [*namespace.cfg_options_text, *values]

    parser.set_defaults(cfg_options_text=[])
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        type=_key_value,
        metavar='KEY=VALUE',
        help='override config entries, e.g. train_dataloader.batch_size=4',
    )


def _with_blanks(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_with_blanks, value))
    return value.replace('\0', ' ') if isinstance(value, str) else value


def add_runs(parser: argparse.ArgumentParser, *, nargs: str) -> None:
    """Arguments of what shows tested runs: RUN ..., --ann-file, --taxonomy and --out."""
    parser.add_argument(
        'runs',
        nargs=nargs,
        metavar='RUN',
        help='[NAME=]work dir, result.json, or DETECTIONS.json:GROUND_TRUTH.json',
    )
    parser.add_argument(
        '--ann-file',
        type=Path,
        metavar='GT.json',
        help='ground truth of all runs; default: what their results name',
    )
    parser.add_argument(
        '--taxonomy',
        metavar='NAME|YAML|COCO',
        help="of runs that are only detections; default: the ground truth's own",
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder to write')
    add_force(parser)


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `low` on, or up to `high`."""
    numbers = f'from {low} on' if high is None else f'from {low} to {high}'

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
            raise argparse.ArgumentTypeError(f'{text!r} is not a whole number {numbers}')
        return int(text)

    return parse


def number(is_valid: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """The type of an argument that is a number for which `is_valid`; `what` names them."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f'{text!r} is not {what}')
        return value

    return parse


score = number(lambda value: 0 <= value <= 1, 'a score from 0 to 1')


def _hedge(text: str) -> str | float:
    """A number from 0 to 1, or a file."""
    try:
        float(text)
    except ValueError:
        return text
    return score(text)


def _key_value(text: str) -> str:
    if not text.partition('=')[1]:
        raise argparse.ArgumentTypeError(f'{text!r} is not KEY=VALUE')
    return text


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """The argument --trust-checkpoint; `engine.weights_only.trust_checkpoints` acts on it."""
    what = (
        'load checkpoints and pretrained weights that hold more than weights: they can run any code'
    )
    parser.add_argument('--trust-checkpoint', action='store_true', help=what)


def add_level(
    parser: argparse.ArgumentParser, help: str = 'detect groups instead of classes'
) -> None:
    """The argument --level coarse|NUMBER|object."""
    parser.add_argument(
        '--level',
        metavar='coarse|NUMBER|object',
        help=f'{help}, one answer for each object: those of the coarsest level, of level NUMBER (from '
        '0, the coarsest), or any object',
    )


def add_hedge(parser: argparse.ArgumentParser) -> None:
    """The argument --hedge theta.json|NUMBER."""
    parser.add_argument(
        '--hedge',
        type=_hedge,
        metavar='theta.json|NUMBER',
        help='answer each detection with its class, or with the finest group that can be trusted: by '
        'the file of tools/calibrate.py, or where the probability is above NUMBER, which promises '
        'nothing',
    )


def add_speed(parser: argparse.ArgumentParser) -> None:
    """The argument --speed NAME ..., options for faster training."""
    parser.add_argument(
        '--speed',
        nargs='+',
        default=(),
        metavar='NAME',
        help=f'options for faster training (docs/speed.md): {", ".join(option_names())}',
    )


def set_local_rank(local_rank: int) -> None:
    """Make the launcher's rank known to mmengine."""
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
