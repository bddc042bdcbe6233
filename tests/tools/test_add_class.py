"""tools/add_class.py: what it writes, a detector that loads it, what it refuses."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch

from mmdet_multigrain.launch import load_config, quiet_imports
from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import call, options

HEAD = 'roi_head.bbox_head'


@pytest.fixture(scope='module')
def shots(tmp_path_factory, garment_data):
    """Validation photos, whose most frequent class is called kimono."""
    (path,) = garment_data.glob('**/*val*.json')
    content = json.loads(path.read_text())
    counts = Counter(item['category_id'] for item in content['annotations'])
    for category in content['categories']:
        if category['id'] == counts.most_common(1)[0][0]:
            category['name'] = 'kimono'
    path = tmp_path_factory.mktemp('shots') / 'shots.json'
    path.write_text(json.dumps(content))
    return path


def test_a_class_is_added_and_tested(trained, tested, garment_data, shots, tmp_path):
    out, train = tmp_path / 'b.pth', next(garment_data.glob('**/*train*.json'))
    result = call(
        'add_class', '--ckpt', trained.checkpoint, '--add', 'kimono: one-piece dress',
        '--shots', shots, '--counts', train, '--out', out,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert f'13 + 1 classes -> {out}' in result.out
    assert any(line.split()[:2] == ['13', 'kimono'] for line in result.out.splitlines())
    content = torch.load(out, weights_only=True)
    (added,) = content['meta']['added_classes']
    assert added['base'] == 'iter_2.pth' and len(added['base_sha256']) == 64
    assert added['shots'] == 'shots.json' and added['boxes'][0] > 0
    taxonomy = Taxonomy.load(tmp_path / 'b.yaml')
    assert taxonomy.superclass_of('kimono') == 'one-piece dress'
    assert Taxonomy.load(content['meta']['dataset_meta']['taxonomy']) == taxonomy

    # Of a test without photos of the new class.
    config, after = next(trained.work_dir.glob('*.py')), tmp_path / 'after.json'
    missing = [f'test_{part}.allow_missing=True' for part in ('dataloader.dataset', 'evaluator')]
    more = [f'taxonomy={tmp_path / "b.yaml"}', *missing]
    test = call(
        'test', config, out, '--work-dir', tmp_path, '--out', after, *options(garment_data, *more)
    )
    assert test.status == 0, test.err
    table = tmp_path / 'table.csv'
    compared = call('analysis_tools/compare_added', tested.result, after, '--out', table)
    assert compared.status == 0, compared.err
    assert f'kimono: {added["boxes"][0]} boxes, not trained' in compared.out
    assert table.read_text().splitlines()[-1].startswith('kimono,0,,')
    other = call('analysis_tools/compare_added', after, tested.result)
    assert "lacks 'kimono'" in other.error()
    again = call('add_class', '--ckpt', out, '--add', 'kimono', '--out', tmp_path / 'c.pth')
    assert "b.pth: class 'kimono' exists already in taxonomy" in again.error()


def test_imprinted_rows_are_features_of_the_shots(trained, garment_data, shots, tmp_path):
    config, out = next(trained.work_dir.glob('*.py')), tmp_path / 'b.pth'
    images = garment_data / 'validation' / 'image'
    arguments = ['--ckpt', trained.checkpoint, '--add', 'kimono:bottom', '--init', 'imprint']
    arguments += ['--shots', shots, '--config', config, '--out', out]
    result = call('add_class', *arguments, '--images', images)
    assert result.status == 0, result.err
    state = torch.load(out, weights_only=True)['state_dict']
    row = state[f'{HEAD}.fc_cls.weight'][13]
    siblings = state[f'{HEAD}.fc_cls.weight'][6:9].norm(dim=1)
    assert float(row.norm()) == pytest.approx(float(siblings.mean()), rel=1e-5)
    assert float(row.min()) >= 0  # behind a ReLU

    with quiet_imports():
        from mmdet_multigrain.apis.box_features import class_features
        from mmdet_multigrain.apis.detector import Detector
        from mmdet_multigrain.coco.annotations import AnnotationFile
    detector = Detector(
        load_config(config, checkpoint=str(trained.checkpoint)), str(trained.checkpoint)
    )
    file = AnnotationFile(shots, taxonomy=Taxonomy.load(tmp_path / 'b.yaml'), allow_missing=True)
    found = class_features(detector, file, images, [13])
    assert found.keys() == {f'{HEAD}.fc_cls', f'{HEAD}.coarse_fc_cls.0'}
    unit = torch.nn.functional.normalize(found[f'{HEAD}.fc_cls'][0], dim=0)
    assert torch.allclose(row / row.norm(), unit, atol=1e-6)
    assert not detector.model.roi_head.bbox_head.training
    content = json.loads(shots.read_text())
    (kimono,) = (item['id'] for item in content['categories'] if item['name'] == 'kimono')
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] != kimono]
    (tmp_path / 'empty.json').write_text(json.dumps(content))
    arguments[arguments.index(shots)] = tmp_path / 'empty.json'
    assert "empty.json: no box of 'kimono'; imprinting needs one" in call(
        'add_class', *arguments, '--images', images, '--force'
    ).error()  # fmt: skip


def test_wrong_input_in_one_line(trained, tmp_path):
    def error(*arguments, ckpt=trained.checkpoint):
        out = tmp_path / 'b.pth'
        line = call('add_class', '--ckpt', ckpt, '--out', out, *arguments).error()
        assert not [*tmp_path.glob('b.*')]
        return line

    assert "group 'dresses' is not in taxonomy" in error('--add', 'kimono:dresses')
    assert "class 'Vest' exists already" in error('--add', 'Vest')
    assert "'kimono' is added twice" in error('--add', 'kimono', '--add', 'kimono:top')
    assert 'no such checkpoint' in error('--add', 'kimono', ckpt=tmp_path / 'no.pth')
    bare = tmp_path / 'bare.pth'
    torch.save(torch.load(trained.checkpoint, weights_only=False)['state_dict'], bare)
    assert 'bare.pth: does not name its classes' in error('--add', 'kimono', ckpt=bare)
    mapping = Taxonomy.load('deepfashion2').to_dict()
    path = tmp_path / 'new.yaml'
    path.write_text(Taxonomy.load(mapping).to_yaml())
    assert f'{path}: has no class that ' in error('--taxonomy', path)
    groups = mapping['groups']
    groups['bottom'].append(groups['top'].pop())
    path.write_text(Taxonomy.load(mapping).to_yaml())
    assert f"{path}: changes old groups: 'sling' is in group 0" in error('--taxonomy', path)
