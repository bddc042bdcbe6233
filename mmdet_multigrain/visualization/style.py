"""How our figures look: fonts, lines, a color for each superclass; and figures as bytes.

A figure is drawn by a function that gets an empty one (`render`), without pyplot: nothing
here depends on a display or on settings of the machine, and the same data gives the same SVG.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font, get_font_names
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, NullLocator

from mmdet_multigrain.utils.errors import ReportError

PNG_DPI = 160
_MOST_PIXELS = 60_000  # on a side; the drawing library ends at 65,535
INK, MUTED, FAINT, PAPER = '#222222', '#6b6b6b', '#d9d9d9', '#ffffff'
_FONT = 'DejaVu Sans'  # comes with matplotlib: the same widths everywhere
FONT_VARIABLE = 'MULTIGRAIN_FONT'  # environment variable: a font file for other letters
_EAST_ASIAN_FONTS = (
    *('Noto Sans CJK SC', 'Noto Sans CJK JP', 'Source Han Sans SC', 'WenQuanYi Micro Hei'),
    *('Microsoft YaHei', 'PingFang SC', 'Arial Unicode MS'),
)
_SETTINGS = {
    'font.size': 9,
    'text.color': INK,
    'text.parse_math': False,  # a class may be called "$5 shirt"
    'axes.edgecolor': MUTED,
    'axes.labelcolor': INK,
    'axes.labelsize': 9,
    'axes.linewidth': 0.8,
    'axes.axisbelow': True,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'grid.color': FAINT,
    'grid.linewidth': 0.6,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
    'xtick.labelcolor': INK,
    'ytick.labelcolor': INK,
    'legend.frameon': False,
    'figure.facecolor': PAPER,
    'svg.hashsalt': 'mmdet_multigrain',
    'svg.fonttype': 'path',  # looks the same without our font
}


@contextlib.contextmanager
def drawing() -> Iterator[Figure]:
    """An empty figure; in the block, our settings hold instead of the user's."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, 'font.family': installed_fonts()})
        # Letters that no font has are drawn as boxes.
        warnings.filterwarnings('ignore', message='Glyph .* missing')
        figure = Figure()
        FigureCanvasAgg(figure)
        yield figure


def render(draw: Callable[..., None], *arguments: Any) -> dict[str, bytes]:
    """The contents of a figure's files by kind: `png` and `svg`.

    `draw` is called with an empty figure and the arguments; it sets the size, too.
    """
    contents = {}
    with drawing() as figure:
        draw(figure, *arguments)
        dpi = min(PNG_DPI, _MOST_PIXELS / max(figure.get_size_inches()))
        for kind, options in (
            ('png', {'dpi': dpi, 'metadata': {'Software': None}}),
            ('svg', {'metadata': {'Date': None, 'Creator': None}}),
        ):
            file = io.BytesIO()
            figure.savefig(file, format=kind, bbox_inches='tight', pad_inches=0.12, **options)
            contents[kind] = file.getvalue()
    return contents


def tint(color: str, share: float) -> tuple[float, float, float]:
    """The color mixed with white; a share of 1 leaves it as it is."""
    return tuple(1 - share * (1 - part) for part in to_rgb(color))


def ink_on(color: Any) -> str:
    """Black or white, whichever reads better on the color."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(color)
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # The contrast of two colors is (lighter + 0.05) / (darker + 0.05); white has 1, black 0.
    return 'black' if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else 'white'


def log_axis(axes: Axes, low: float, high: float, *, last: float | None = None) -> None:
    """Make the x axis logarithmic from low (above 0) to high; label it up to `last` (high).

    Numbers are plain: at 1, 10, 100, or at 1, 2, 5 over few decades.
    """
    last = high if last is None else last
    steps = (1, 2, 5) if last / low < 2000 else (1,)
    ticks = [
        step * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(last)) + 1)
        for step in steps
    ]
    axes.set_xscale('log')
    _plain_ticks(axes, [tick for tick in ticks if low <= tick <= min(last, high)])
    axes.set_xlim(low, high)


def linear_axis(axes: Axes, high: float, *, last: float) -> None:
    """A linear x axis from 0 with plain numbers, none beyond `last`."""
    ticks = MaxNLocator(5, integer=True).tick_values(0, last)
    _plain_ticks(axes, [tick for tick in ticks if 0 <= tick <= min(last, high)])
    axes.set_xlim(0, high)


def heading(axes: Axes, title: str, detail: str, *, above: float = 0) -> None:
    """A title and a line of detail, `above` points and their own room above the axes."""
    place = {'xycoords': 'axes fraction', 'textcoords': 'offset points'}
    look = {'fontsize': 12, 'fontweight': 'bold'}
    axes.annotate(title, (0, 1), (0, 24 + above), **place, **look)
    axes.annotate(detail, (0, 1), (0, 9 + above), **place, color=MUTED)


def fit(text: Text, width: float) -> None:
    """Shorten a text on a figure until it is not wider than so many inches."""
    figure = text.figure
    renderer = figure.canvas.get_renderer()
    whole = text.get_text()
    for length in range(len(whole), 0, -1):
        if length < len(whole):
            text.set_text(whole[:length].rstrip() + '…')
        if text.get_window_extent(renderer).width <= width * figure.dpi:
            return


def missing_letters(texts: Iterable[str]) -> str:
    """The letters that no font here has."""
    fonts = [get_font(findfont(name)) for name in installed_fonts()]
    return ''.join(
        letter
        for letter in sorted(set().union(*texts))
        if not any(font.get_char_index(ord(letter)) for font in fonts)
    )


def missing_letters_line(texts: Iterable[str], *, what: str = 'figures') -> str:
    """One line on the letters that `what` cannot show, and how to change that; nothing if none."""
    if not (missing := missing_letters(texts)):
        return ''
    return (
        f'no font here has {len(missing)} of the letters ({missing[:5]}); the {what} show '
        f'numbers like "class 0" instead of names; name a font file with '
        f'{FONT_VARIABLE}=FONT.ttf, or install Noto Sans CJK'
    )


def warn_of_missing_letters(texts: Iterable[str], *, what: str = 'figures') -> None:
    """Print `missing_letters_line` to stderr, if there is one."""
    if line := missing_letters_line(texts, what=what):
        print(line, file=sys.stderr)


def shown(name: str, number: int, kind: str = 'class') -> str:
    """The name, or `class 3` if it has letters that no font here has."""
    return f'{kind} {number}' if missing_letters([name]) else name


@functools.cache
def readable(names: tuple[str, ...], kind: str = 'class') -> tuple[str, ...]:
    """Names for pictures: each as `shown`, by its index."""
    return tuple(shown(name, number, kind) for number, name in enumerate(names))


def escaped(text: str) -> str:
    """The text with escapes such as `\\u8863` for letters that no font here has."""
    missing = missing_letters([text])
    return ''.join(
        letter.encode('ascii', 'backslashreplace').decode() if letter in missing else letter
        for letter in text
    )


def _plain_ticks(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set_xticks(ticks, [f'{tick:,.10g}' for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def installed_fonts() -> list[str]:
    """Our font, the user's, and what is installed of those that have the letters which it lacks.

    Raises:
        ReportError: `MULTIGRAIN_FONT` does not name a font file.
    """
    own = os.environ.get(FONT_VARIABLE)
    installed = set(get_font_names())
    others = [name for name in _EAST_ASIAN_FONTS if name in installed]
    return [_FONT, *([_load_font(own)] if own else []), *others]


@functools.cache
def _load_font(path: str) -> str:
    """Make a font file known to matplotlib; its family."""
    try:
        fontManager.addfont(path)
        return get_font(path).family_name
    except (OSError, RuntimeError) as error:
        raise ReportError(
            f'{FONT_VARIABLE}={path}: not a font file that can be read ({error}); name a .ttf or '
            '.otf file'
        ) from None
