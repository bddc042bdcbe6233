"""Choice of the engine. That the engines give the same arrays is in `test_coco_eval`."""

import pytest

from mmdet_multigrain.evaluation.functional import engines
from mmdet_multigrain.evaluation.functional.engines import choose_engine
from mmdet_multigrain.utils.errors import EvaluationError


def test_engine_choice(monkeypatch):
    assert choose_engine('auto') == 'hotcoco'
    with pytest.raises(EvaluationError, match="'fast' is unknown; use auto, hotcoco or pycoco"):
        choose_engine('fast')
    monkeypatch.setattr(
        engines.importlib.util, 'find_spec', lambda name: None if name == 'hotcoco' else name
    )
    assert choose_engine('auto') == 'pycocotools'
    with pytest.raises(EvaluationError, match='hotcoco not installed; pip install hotcoco'):
        choose_engine('hotcoco')
