"""tools/predict.py: answers above the class, the groups of a level, annotations to correct."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import pytest

from mmdet_multigrain.evaluation.answers import AnswerRule
from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import REPOSITORY
from .test_predict import MODEL, predict


@pytest.fixture
def photo(garment_data, tmp_path) -> Path:
    source = min((garment_data / 'validation' / 'image').iterdir())
    return Path(shutil.copy(source, tmp_path / 'a.jpg'))


def test_groups_of_a_level(photo, config, trained, tmp_path):
    out, common = tmp_path / 'out', ['--no-pictures', '--score-thr', 0, '--cfg-options', *MODEL]
    seen = {}
    for level in ('coarse', '1', None, 'object'):
        arguments = [] if level is None else ['--level', level]
        result = predict(photo, config, trained.checkpoint, out, *arguments, *common)
        assert result.status == (0 if level == 'coarse' else 2)
        if level == 'coarse':  # another level is another call
            assert json.loads((out / 'predictions.json').read_bytes())['level'] == 'coarse'
        else:
            assert '--force' in result.err
            force = [*arguments, '--force', *common]
            assert predict(photo, config, trained.checkpoint, out, *force).status == 0
        content = json.loads((out / 'predictions.json').read_bytes())
        seen[level] = content['images'][0]['detections']
    assert {found['class'] for found in seen['coarse']} <= {'top', 'bottom', 'one-piece dress'}
    assert {found['class'] for found in seen['object']} == {'object'}
    without = [{**found, 'superclass': None} for found in seen[None]]
    assert [{**found, 'superclass': None} for found in seen['1']] == without


def test_hedged_answers(photo, config, trained, tmp_path):
    out, theta = tmp_path / 'out', tmp_path / 'theta.json'
    taxonomy, promise = Taxonomy.load('deepfashion2'), 'At most a tenth is wrong.'

    def hedge(rule, *more):
        model = ['--no-pictures', '--cfg-options', *MODEL]
        arguments = '--hedge', rule, *more, *model
        return predict(photo, config, trained.checkpoint, out, *arguments)

    def content():
        return json.loads((out / 'predictions.json').read_bytes())

    # After two iterations all classes are about equally likely; six of them are tops.
    result = hedge('0.3', '--score-thr', 0)
    assert result.status == 0 and 'nothing is promised of them' in result.out
    none = dict(theta=0.3, reason=None, accuracy=None, score_thr=None, promise=None)
    assert content()['hedge'] == {'rule': 0.3, **none}
    (found,) = content()['images']
    levels = [row['answer_level'] for row in found['detections']]
    assert {*levels} == {1, 2}
    counts = f'0 class, {levels.count(1)} group, {levels.count(2)} object'
    assert f'answers: {counts}; theta 0.3\n' in result.out
    for answer in found['answers']:
        best = found['detections'][answer['members'][0]]
        assert (answer['name'], answer['box']) == (best['answer'], best['box'])
    # Another rule is another command. A file says of which scores it speaks.
    AnswerRule(-1, taxonomy, accuracy=0.9, score_thr=0.02, promise=promise).save(theta)
    assert 'already exists, from another command' in hedge(theta).error()
    result = hedge(theta, '--force', '--score-thr', 0)
    assert promise in result.out and 'that score 0.02 or more, not for those shown' in result.out
    assert content()['hedge'] == dict(
        rule=str(theta), theta=-1, reason=None, accuracy=0.9, score_thr=0.02, promise=promise
    )
    (leaf,) = content()['images']
    assert all(row['answer'] == row['class'] for row in leaf['detections'])
    AnswerRule(None, taxonomy, reason='Too few photos.', score_thr=0).save(theta)
    result = hedge(theta)
    assert content()['score_thr'] == 0
    assert {row['answer'] for row in content()['images'][0]['detections']} == {'object'}
    assert 'always object\nToo few photos.\n' in result.out
    assert 'nothing is promised' not in result.out
    for number in ('1.01', 'nan'):
        assert f"--hedge: '{number}' is not a score from 0 to 1" in hedge(number).err
    line = hedge('0.3', '--force', '--level', 'coarse').error()
    assert "level 'coarse': answers start from classes" in line


def test_annotations_to_correct(photo, config, trained, tmp_path):
    out, common = tmp_path / 'out', ['--no-pictures', '--score-thr', 0, '--cfg-options', *MODEL]
    file = out / 'annotations.json'

    def annotate(*more):
        return predict(photo, config, trained.checkpoint, out, '--annotations', *more, *common)

    for hedge in ([], ['--hedge', '0.3', '--force']):
        result = annotate(*hedge)
        assert result.status == 0 and f'annotations -> {file}' in result.out, result.err
        (image,) = json.loads((out / 'predictions.json').read_bytes())['images']
        content = json.loads(file.read_bytes())
        assert [row['file_name'] for row in content['images']] == ['a.jpg']
        rows = image['answers' if hedge else 'detections']
        assert [row['bbox'] for row in content['annotations']] == [row['box'] for row in rows]
        assert [row['score'] for row in content['annotations']] == [row['score'] for row in rows]
        used = {row['category_id'] for row in content['annotations']}
        given = {row['name'] for row in content['categories'] if row['id'] in used}
        found = {row['name'] if hedge else row['class'] for row in rows}
        assert given == found and ('object' in given) == bool(hedge)
    assert annotate('--hedge', '0.3').status == 0  # the same call
    # A file of others is not replaced: neither by a first call nor by one that had written none.
    for name in ('predictions.json', 'annotations.json'):
        (out / name).unlink()
    assert predict(photo, config, trained.checkpoint, out, *common).status == 0
    file.write_text('{}')
    assert 'annotations.json: already exists, from another command' in annotate().error()
    assert file.read_text() == '{}'


def test_how_specific_answers_are(three_levels, capsys):
    tell = runpy.run_path(str(REPOSITORY / 'tools' / 'predict.py'))['tell_answers']
    levels = [0, 1, 2, 2, 3, 2]
    images = [{'detections': [{'answer_level': level} for level in part]} for part in (levels, [0])]
    for taxonomy, counts in (
        (three_levels, '2 class, 1 level 1, 3 level 0, 1 object'),
        (Taxonomy('flat', ['a', 'b']), '2 class, 1 object'),
    ):
        tell(AnswerRule(0.25, taxonomy, promise='A promise.', score_thr=0.3), images, 0.3)
        assert capsys.readouterr().out == f'answers: {counts}; theta 0.25\nA promise.\n'
