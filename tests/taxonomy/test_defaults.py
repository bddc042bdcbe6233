"""What is left out of calls: the defaults are a part of the interface."""

from __future__ import annotations

import pytest

from mmdet_multigrain.taxonomy import taxonomy

from ..signatures import defaults

DEFAULTS = {
    taxonomy.Taxonomy: dict(allow_one_group=False),
    taxonomy.Taxonomy.superclass_of: dict(level=0),
    taxonomy.Taxonomy.find: dict(coarse=False),
    taxonomy.Taxonomy.match_categories: dict(
        allow_missing=False, allow_unknown=False, coarse=False
    ),
    taxonomy.Taxonomy.from_mapping: dict(source='mapping', allow_one_group=False),
}


@pytest.mark.parametrize('function', DEFAULTS, ids=lambda one: one.__qualname__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]
