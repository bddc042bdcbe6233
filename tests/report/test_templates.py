"""HTML templates: values are escaped, undefined ones are errors."""

import jinja2
import pytest

from mmdet_multigrain.report.templates import render_template

PACKAGE = 'mmdet_multigrain.report.gallery'
EMPTY = dict(
    score_thr=0.5,
    scores={},
    classes={},
    hedged=False,
    only=None,
    blurred=False,
    legend={},
    photos=[],
    runs={},
)


def test_values_are_escaped():
    page = render_template(PACKAGE, 'browse.html.j2', **(EMPTY | {'only': ['<b>']}))
    assert 'truly is: &lt;b&gt;.</p>' in page
    assert 'Detections with a score of 0.5 or more.' in page


def test_a_missing_value_is_an_error():
    values = {key: value for key, value in EMPTY.items() if key != 'legend'}
    with pytest.raises(jinja2.UndefinedError, match='legend'):
        render_template(PACKAGE, 'browse.html.j2', **values)
