"""The cut into two files, and which boxes count as found."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict

from benchmarks.labels.proposal_recall import CONFIG, hits, measured, summary, two_files
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json
from tests.benchmarks.conftest import call


def test_two_files_have_every_class_and_photo_once():
    content = dict(
        images=[{'id': n} for n in range(5)],
        categories=[{'id': n, 'name': 'abcd'[n]} for n in range(4)],
        annotations=[
            {'image_id': image, 'category_id': category}
            for image in range(5)
            for category in range(4)
            for _ in range(category + 1)
        ],
    )
    (first, of_first), (second, of_second) = two_files(content)
    assert (of_first, of_second) == (['d', 'b'], ['c', 'a'])  # by number of boxes, in turns
    assert [image['id'] for image in first['images']] == [0, 1]
    assert [image['id'] for image in second['images']] == [2, 3, 4]
    for part, ids, images in ((first, {3, 1}, {0, 1}), (second, {2, 0}, {2, 3, 4})):
        assert {category['id'] for category in part['categories']} == ids
        pairs = {(item['image_id'], item['category_id']) for item in part['annotations']}
        assert pairs == {(image, category) for image in images for category in ids}


class Photos:
    """Two photos with a box, one of which is a crowd."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return dict(inputs=torch.zeros(1), data_samples=index)

    def get_data_info(self, index):
        box = dict(bbox=[0, 0, 10, 10], bbox_label=3, ignore_flag=index)
        return dict(img_id=f'photo {index}', instances=[box])


@pytest.mark.parametrize(('side', 'found'), [(10, True), (7.1, True), (7, False)])
def test_hits(side, found):
    proposals = SimpleNamespace(bboxes=torch.tensor([[20.0, 0, 30, 9], [0, 0, side, side]]))
    rpn_head = SimpleNamespace(
        test_cfg=ConfigDict(max_per_img=7), predict=lambda *_, rescale: [proposals]
    )
    model = SimpleNamespace(
        data_preprocessor=lambda batch, training: batch,
        extract_feat=lambda inputs: inputs,
        rpn_head=rpn_head,
    )
    assert list(hits(model, Photos(), 9)) == [('photo 0', 3, found)]
    assert rpn_head.test_cfg.max_per_img == 100


def test_shares_are_of_the_run_with_the_same_seed():
    found = {
        'full': {'0': dict(val=80.0, left_out=50.0), '1': dict(val=50.0, left_out=40.0)},
        'annotated': {'0': dict(val=72.0, left_out=50.0), '1': dict(val=50.0, left_out=30.0)},
        'background': {'2': dict(val=70.0, left_out=10.0)},
    }
    rows = [line.split() for line in summary(found).splitlines()[-3:]]
    assert rows == [
        ['full', '2', '65.0', '1.00', '(1.00-1.00)', '45.0', '1.00', '(1.00-1.00)'],
        ['annotated', '2', '61.0', '0.95', '(0.90-1.00)', '40.0', '0.88', '(0.75-1.00)'],
        ['background', '1', '70.0', '-', '10.0', '-'],
    ]


def test_what_is_done_is_taken_unless_it_is_of_other_options(tmp_path):
    args = SimpleNamespace(work_dir=tmp_path)
    (tmp_path / 'full-3').mkdir()
    options = dict(photos=9, cfg_options={'scale': (3, 4)})
    content = dict(options=options, recall=dict(val=80.0, left_out=50.0))
    (tmp_path / 'full-3' / 'recall.json').write_bytes(dump_json(content))
    assert measured('full', 3, args, options) == content['recall']
    with pytest.raises(ConfigError, match='is of other data or options; choose another --work-dir'):
        measured('full', 3, args, options | dict(photos=8))


def test_the_table_of_what_is_done_and_its_file(tmp_path):
    options = dict(config=CONFIG, speed=[], cfg_options=None, data=str(tmp_path), photos=9)
    for arm, value in (('full', 80.0), ('annotated', 72.0)):
        folder = tmp_path / f'{arm}-0'
        folder.mkdir()
        content = dict(options=options, recall=dict(val=value, left_out=value))
        (folder / 'recall.json').write_bytes(dump_json(content))
    places = ['--data', tmp_path, '--work-dir', tmp_path, '--out', tmp_path / 'out.json']
    more = ['--arms', 'full,annotated', '--photos', 9]
    done = call('labels.proposal_recall', *places, *more)
    assert done.status == 0, done.err
    assert '0.90 (0.90-0.90)' in done.out
    text = (tmp_path / 'out.json').read_text()
    assert json.loads(text)['recall']['annotated']['0'] == dict(val=72.0, left_out=72.0)


def test_without_the_data_nothing_is_written(tmp_path):
    places = ['--data', tmp_path / 'nowhere', '--work-dir', tmp_path / 'runs']
    assert 'nowhere' in call('labels.proposal_recall', *places).error()
    assert not (tmp_path / 'runs').exists()
