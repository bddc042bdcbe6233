"""HTML templates: values are escaped, undefined ones are errors."""

import jinja2
import pytest

from mmdet_multigrain.report.templates import render_template

PACKAGE = 'mmdet_multigrain.report.gallery'
EMPTY = {'detail': [], 'legend': {}, 'photos': [], 'runs': {}}


def test_values_are_escaped():
    page = render_template(PACKAGE, 'browse.html.j2', **(EMPTY | {'detail': ['<b>']}))
    assert '<p>&lt;b&gt;</p>' in page


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render_template(PACKAGE, 'browse.html.j2', **{**EMPTY, 'runs': jinja2.StrictUndefined()})
