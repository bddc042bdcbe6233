"""The wording of the report: every text is used, and every value in it is filled in."""

import re
from importlib import resources

import pytest
import yaml

from mmdet_multigrain.report.runs import texts

ROOT = resources.files(texts.__package__)
TEXTS = yaml.safe_load((ROOT / 'data' / 'texts.yaml').read_text('utf-8'))
CODE = ''.join(
    (ROOT / f'{name}.py').read_text('utf-8')
    for name in ('report', 'sections', 'claims', 'diagnostic_sections')
)


@pytest.mark.parametrize('name', [*TEXTS, *TEXTS['tables'], *TEXTS['figures']])
def test_every_text_is_used(name):
    assert name in ('tables', 'figures') or re.search(rf"""['"]{name}['"]""", CODE)


def test_values_are_filled_in():
    values = {'rows': 9, 'expected': '0.5', 'noise': '°'}
    assert texts.text('chance', **values).startswith('Of 9 rows with an interval, about 0.5')
    values = {'interval': '95% interval', 'noise': '°', 'resamples': 2000, 'least': 3}
    items = dict(texts.items('terms_over_seeds', **values))
    assert '2,000 times' in items['95% interval over seeds and photos'] and '°' in items
    with pytest.raises(KeyError):
        texts.text('chance')


def test_texts_have_no_line_breaks():
    assert not re.search(r'\n', repr(TEXTS).replace('\\n', '\n'))
