"""The argument parser of all benchmarks and the types of its arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection

from mmdet_multigrain.launch import whole_number


class _Formatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str:
        has_default = action.default not in (None, False, (), argparse.SUPPRESS)
        return super()._get_help_string(action) if has_default else action.help


def make_parser(doc: str, **options: str) -> argparse.ArgumentParser:
    """A parser that describes a script by the first line of its docstring and shows defaults."""
    description = doc.partition('\n')[0].rstrip(':')
    return argparse.ArgumentParser(description=description, formatter_class=_Formatter, **options)


count, positive = whole_number(0), whole_number(1)


def list_of(choices: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of a comma-separated list of some of these choices."""

    def parse(text: str) -> tuple[str, ...]:
        values = tuple(text.split(','))
        for value in values:
            if value not in choices:
                raise argparse.ArgumentTypeError(f'{value!r} is not one of {", ".join(choices)}')
        return values

    return parse


def size(text: str) -> tuple[int, int]:
    """The type of a width and a height, as in 1333x800."""
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not a size like 1333x800')
    return int(match[1]), int(match[2])
