"""Axes, text on colors, and figures as bytes."""

import io

import matplotlib
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from mmdet_multigrain.utils.errors import ReportError
from mmdet_multigrain.visualization import pictures, style
from mmdet_multigrain.visualization.palette import HUES, NO_SUPERCLASS


def contrast(one, other):
    """WCAG's ratio of two colors."""

    def luminance(color):
        parts = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in matplotlib.colors.to_rgb(color)
        ]
        return sum(
            weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize('color', [*HUES, NO_SUPERCLASS])
def test_words_on_colors_can_be_read(color):
    best = max(contrast(color, ink) for ink in ('black', 'white'))
    assert contrast(color, style.ink_on(color)) == best >= 4.5
    assert contrast(style.tint(color, 0.42), style.INK) > 6


def test_tint():
    assert style.tint('#ff0000', 0.5) == (1, 0.5, 0.5)


@pytest.mark.parametrize(
    ('low', 'high', 'last', 'ticks'),
    [
        (0.7, 100, None, ['1', '2', '5', '10', '20', '50', '100']),
        (0.7, 1e6, 30_000, ['1', '10', '100', '1,000', '10,000']),
        (15, 130, None, ['20', '50', '100']),
        (0.7, 3, 50, ['1', '2']),
    ],
)
def test_log_axis(low, high, last, ticks):
    axes = Figure().subplots()
    style.log_axis(axes, low, high, last=last)
    assert [label.get_text() for label in axes.get_xticklabels()] == ticks
    assert axes.get_xlim() == (low, high) and axes.get_xscale() == 'log'


def test_linear_axis():
    axes = Figure().subplots()
    style.linear_axis(axes, 1500, last=1000)
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        '0',
        '200',
        '400',
        '600',
        '800',
        '1,000',
    ]


def test_axes_end_at_what_they_are_told():
    axes = Figure().subplots()
    style.linear_axis(axes, 300, last=1000)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ['0', '200'] and axes.get_xlim() == (0, 300)
    style.linear_axis(axes, 9, last=1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ['0', '1']
    assert not axes.xaxis.get_minorticklocs().size


@pytest.mark.parametrize(('low', 'ticks'), [(0.5, 10), (0.4, 3)])
def test_few_decades_have_more_ticks(low, ticks):
    axes = Figure().subplots()
    style.log_axis(axes, low, 999)
    assert len(axes.get_xticks()) == ticks


def test_headings_stand_above_the_axes():
    axes = Figure().subplots()
    style.heading(axes, 'Title', 'detail', above=10)
    title, detail = axes.texts
    assert (title.get_text(), detail.get_text()) == ('Title', 'detail')
    assert (title.xy, title.xyann, detail.xy, detail.xyann) == ((0, 1), (0, 34), (0, 1), (0, 19))
    assert (title.get_fontsize(), title.get_fontweight()) == (12, 'bold')
    assert (title.xycoords, title.anncoords) == ('axes fraction', 'offset points')
    assert title.get_color() != style.MUTED and detail.get_color() == style.MUTED


def test_our_settings_hold_within_a_drawing():
    with style.drawing():
        found = {name: matplotlib.rcParams[name] for name in LOOK}
        assert matplotlib.rcParams['font.family'][0] == 'DejaVu Sans'
    assert found == LOOK


LOOK = {
    'font.size': 9,
    'text.color': '#222222',
    'text.parse_math': False,
    'axes.edgecolor': '#6b6b6b',
    'axes.labelcolor': '#222222',
    'axes.labelsize': 9,
    'axes.linewidth': 0.8,
    'axes.axisbelow': True,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'grid.color': '#d9d9d9',
    'grid.linewidth': 0.6,
    'xtick.color': '#6b6b6b',
    'ytick.color': '#6b6b6b',
    'xtick.labelcolor': '#222222',
    'ytick.labelcolor': '#222222',
    'legend.frameon': False,
    'figure.facecolor': '#ffffff',
    'svg.hashsalt': 'mmdet_multigrain',
    'svg.fonttype': 'path',
}


def test_pictures_of_figures_have_160_dots_per_inch():
    def plain(figure):
        figure.set_size_inches(2, 1)
        figure.add_axes((0, 0, 1, 1)).set_axis_off()
        figure.patches.append(Rectangle((0, 0), 1, 1, transform=figure.transFigure, figure=figure))

    with Image.open(io.BytesIO(style.render(plain)['png'])) as image:
        # And 0.12 inches around what is drawn.
        assert abs(image.width - 160 * 2.24) <= 2 and abs(image.height - 160 * 1.24) <= 2
        assert 'Software' not in image.info


def draw(figure, words='$a_1$ & _b'):
    figure.set_size_inches(2, 1)
    style.fit(figure.text(0.1, 0.5, words), 1.5)


def test_figures_are_the_same_bytes_each_time_and_leave_no_trace():
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({'font.size': 30, 'savefig.facecolor': 'red'}):
        one = style.render(draw)
    assert one == style.render(draw)
    assert dict(matplotlib.rcParams) == before
    assert one['png'].startswith(b'\x89PNG') and b'<svg' in one['svg']
    assert b'Date' not in one['svg'] and b'date' not in one['svg']


def test_very_long_figures_are_drawn_coarser():
    def draw(figure):
        figure.set_size_inches(0.2, 1000)
        figure.add_axes((0, 0, 1, 1))

    with Image.open(io.BytesIO(style.render(draw)['png'])) as image:
        assert 59_000 < image.height < 2**16


def test_settings_are_put_back_after_an_error():
    before = dict(matplotlib.rcParams)
    with pytest.raises(ZeroDivisionError):
        style.render(lambda figure: 1 / 0)
    assert dict(matplotlib.rcParams) == before


def test_texts_are_shortened_to_fit():
    with style.drawing() as figure:
        text = figure.text(0, 0, 'a name that is far too long for its place')
        style.fit(text, 1.0)
        width = text.get_window_extent(figure.canvas.get_renderer()).width / figure.dpi
        assert 0.8 < width <= 1.0 and text.get_text().endswith('…')
        text = figure.text(0, 0, 'name')
        style.fit(text, 1.0)
        assert text.get_text() == 'name'


def test_letters_that_no_font_has():
    assert style.missing_letters(['Überzieher', 'футболка']) == ''
    assert style.missing_letters(['a\U000e0041b', 'a\ue123']) == '\ue123\U000e0041'


def test_a_warning_names_the_letters_that_no_font_has(capsys):
    style.warn_of_missing_letters(['shirt'])
    assert capsys.readouterr() == ('', '')
    style.warn_of_missing_letters(['a\ue123'], what='pictures')
    out, err = capsys.readouterr()
    assert not out and 'has 1 of the letters (\ue123); the pictures show numbers' in err
    assert 'MULTIGRAIN_FONT=FONT.ttf' in err and err.count('\n') == 1


@pytest.fixture
def cjk_font(tmp_path, monkeypatch):
    """A font file with the letters of two Chinese class names; MULTIGRAIN_FONT names it."""
    letters = '上衣外套0123456789. ()'
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    box = pen.glyph()
    names = {ord(letter): f'glyph{number}' for number, letter in enumerate(letters)}
    glyphs = ['.notdef', *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(glyphs, box))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({'familyName': f'Test {tmp_path.name}', 'styleName': 'Regular'})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / 'cjk.ttf')
    monkeypatch.setenv('MULTIGRAIN_FONT', str(tmp_path / 'cjk.ttf'))
    style.readable.cache_clear()
    yield
    style.readable.cache_clear()


def test_names_without_a_font_become_indices():
    names = ('shirt', '\ue123', 'юбка', 'a\ue124')
    assert style.readable(names) == ('shirt', 'class 1', 'юбка', 'class 3')
    assert style.readable(names, 'group')[1] == 'group 1'
    assert style.escaped('a\ue123 б') == 'a\\ue123 б'


def test_a_named_font_shows_its_letters(cjk_font):
    assert style.missing_letters(['上衣', 'shirt']) == ''
    assert style.readable(('上衣', '外套', '\ue123')) == ('上衣', '外套', 'class 2')
    assert pictures.font_for('上衣 0.9', 20).getname()[0].startswith('Test')
    assert pictures.font_for('shirt', 20).getname()[0] == 'DejaVu Sans'


def test_a_font_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'none.ttf'
    for content in (None, b'text'):
        if content:
            path.write_bytes(content)
        monkeypatch.setenv('MULTIGRAIN_FONT', str(path))
        with pytest.raises(ReportError, match='none.ttf: not a font file that can be read'):
            style.installed_fonts()
