"""HTML templates: values are escaped, undefined ones are errors."""

import jinja2
import pytest

from mmdet_multigrain.report.templates import render_template

PACKAGE = 'mmdet_multigrain.report.gallery'
EMPTY = {'detail': [], 'legend': {}, 'photos': [], 'runs': {}}


def test_values_are_escaped_and_percent_signs_stay_with_their_number():
    page = render_template(PACKAGE, 'browse.html.j2', **(EMPTY | {'detail': ['<b> 95 %']}))
    assert '<p>&lt;b&gt; 95\u00a0%</p>' in page


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render_template(PACKAGE, 'browse.html.j2', **{**EMPTY, 'runs': jinja2.StrictUndefined()})
