"""The rule by which compositions are merged into a config."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdet_multigrain.engine.runner.compositions import COMPOSITIONS, merge_compositions
from mmdet_multigrain.utils.errors import ConfigError


def merged(own, **compositions):
    cfg = Config(dict(model=own, **compositions))
    merge_compositions(cfg)
    assert [*cfg] == ['model']
    return cfg.to_dict()['model']


@pytest.mark.parametrize(
    ('own', 'part', 'result'),
    [
        (dict(a=1, b=dict(c=2)), dict(b=dict(d=3)), dict(a=1, b=dict(c=2, d=3))),
        (dict(a=1), dict(a=None, b=[2]), dict(a=None, b=[2])),
        (dict(a=dict(b=1)), dict(a=dict(_delete_=True, c=2)), dict(a=dict(c=2))),
        (dict(a=None), dict(a=dict(b=1)), dict(a=dict(b=1))),
        # A copy of the dict for each entry of the list, and into each entry of a list.
        (
            dict(a=dict(b=1, c=1)),
            dict(a=[dict(b=2), dict(c=3)]),
            dict(a=[dict(b=2, c=1), dict(b=1, c=3)]),
        ),
        (dict(a=[dict(b=1), dict(c=2)]), dict(a=dict(d=3)), dict(a=[dict(b=1, d=3), dict(c=2, d=3)])),
        (dict(a=[dict(b=1)]), dict(a=[dict(c=2)]), dict(a=[dict(c=2)])),
        (dict(a=dict(b=1)), dict(a=[0.1, 0.2]), dict(a=[0.1, 0.2])),
        # Only into those of a type.
        (
            dict(a=[dict(type='X'), dict(type='Y')]),
            dict(a=dict(_of_='Y', b=1)),
            dict(a=[dict(type='X'), dict(type='Y', b=1)]),
        ),
        (dict(a=dict(type='X')), dict(a=dict(_of_='X', b=1)), dict(a=dict(type='X', b=1))),
        # From another place.
        (dict(a=dict(b=7)), dict(c=dict(_get_='model.a.b')), dict(a=dict(b=7), c=7)),
        (
            dict(a=dict(b=7)),
            dict(a=dict(b=8), c=dict(_get_='model.a', d=1)),
            dict(a=dict(b=8), c=dict(b=7, d=1)),
        ),
        (
            dict(a=dict(b=1)),
            dict(a=dict(_delete_=True, wrapped=dict(_get_='model.a'))),
            dict(a=dict(wrapped=dict(b=1))),
        ),
    ],
)  # fmt: skip
def test_the_rule(own, part, result):
    assert merged(own, mask=dict(model=part)) == result


def test_copies_are_apart():
    cfg = Config(dict(model=dict(a=dict(b=dict(c=1))), cascade=dict(model=dict(a=[{}, {}]))))
    merge_compositions(cfg)
    cfg.model.a[0].b.c = 2
    assert cfg.model.a[1].b.c == 1


def test_the_order_is_that_of_the_keys():
    parts = {key: dict(model=dict(last=key)) for key in reversed(COMPOSITIONS)}
    assert merged(dict(), **parts) == dict(last=COMPOSITIONS[-1])


def test_none_leaves_a_composition_out():
    assert merged(dict(a=1), mask=None) == dict(a=1)


@pytest.mark.parametrize(
    ('part', 'reason'),
    [
        (True, 'seesaw=True: not a dict of entries; add a base for it: _base_/compositions/seesaw.py'),
        (
            dict(model=dict(a=dict(_of_='Z', b=1))),
            'seesaw: model.a has no Z to change (found: X); leave seesaw out',
        ),
        (
            dict(model=dict(steps=dict(_of_='Z', b=1))),
            'seesaw: model.steps has no Z to change (found: X, Y); leave seesaw out',
        ),
        (
            dict(model=dict(none=dict(_of_='Z', b=1))),
            'seesaw: model.none has no Z to change (found: None); leave seesaw out',
        ),
        (
            dict(model=dict(a=dict(_get_='model.x.y'))),
            'seesaw: the config has no model.x.y to start from',
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(part, reason):
    own = dict(a=dict(type='X'), steps=[dict(type='X'), dict(type='Y')])
    with pytest.raises(ConfigError) as caught:
        merged(own, seesaw=part)
    assert str(caught.value) == reason
