"""The examples of `Detector` in docs/training.md and docs/answers.md, on a trained detector."""

from __future__ import annotations

from PIL import Image

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.taxonomy import Taxonomy

from ..doc_blocks import block


def test_detections_in_python(run_folder, capsys):
    text = block('docs/training.md', 'Detector')
    assert 'above(0.3)' in text
    exec(text.replace('above(0.3)', 'above(0.05)'), shown := {})  # it was hardly trained
    (prediction,) = shown['predictions']
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(shown['confident'].scores) > 0
    first = shown['detector'].taxonomy.classes[prediction.labels[0]]
    assert lines[0].startswith(f'{first} ') and lines[0].endswith(']')
    with Image.open('drawn.jpg') as drawn:
        assert min(drawn.size) > 300  # enlarged from 64 x 80


def test_answers_in_python(run_folder, capsys):
    AnswerRule(0.3, Taxonomy.load('deepfashion2')).save('theta.json')
    exec(block('docs/answers.md', 'answers_of'), shown := {})
    assert len(capsys.readouterr().out.splitlines()) > 0
    confident = shown['confident']
    for name in ('lineage', 'calibrated', 'answer_levels', 'answer_scores', 'rois'):
        assert len(getattr(confident, name)) == len(confident.scores) > 0
