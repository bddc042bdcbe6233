"""tools/test.py: numbers on the screen and in the file, pictures, and checkpoints that do not fit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import pytest
import yaml

from mmdet_multigrain.evaluation import read_result
from mmdet_multigrain.taxonomy import Taxonomy

from .conftest import NUM_VAL, call, options


def run_test(config, checkpoint, work_dir, data, *arguments, more=()):
    """Test within this process; `more` overrides config entries."""
    return call(
        'test', config, checkpoint, '--work-dir', work_dir, *arguments, *options(data, *more)
    )


def test_numbers_are_on_the_screen_and_in_the_file(tested):
    out, numbers = tested.screen.out, json.loads(tested.result.read_bytes())
    assert tested.screen.err == ''
    for key in ('AP', 'AP50', 'AP75', 'APs', 'APm'):
        shown = re.search(rf'^leaf +13 classes .*\b{key} +([\d.]+)', out, re.MULTILINE)
        assert float(shown.group(1)) == round(100 * numbers['coco'][key], 2)
    assert re.search(r'^superclass +3 superclasses +AP', out, re.MULTILINE)
    assert re.search(r'^leaf +rarest 30% of classes +AP', out, re.MULTILINE)
    assert numbers['num_images'] == NUM_VAL
    assert [row['name'] for row in numbers['coarse_levels'][0]['classes']] == [
        'top',
        'bottom',
        'one-piece dress',
    ]
    assert numbers['tail']['counted_on'] == 'training'
    lines = out.splitlines()
    assert lines[-1].endswith(f'All numbers: {tested.result}')
    assert next(n for n, line in enumerate(lines) if line.startswith('leaf: ')) < 8 + NUM_VAL
    assert 'coco/bbox_mAP' not in out


def test_the_file_says_what_was_tested(tested, trained, config, garment_data):
    result = read_result(tested.result)
    run = result.run
    assert (run.config, run.checkpoint) == (str(config), str(trained.checkpoint))
    assert (run.iteration, run.seed) == (2, 0)
    assert run.command.split()[0].endswith('tools/test.py') and '--show-dir' in run.command
    assert Path(run.image_folder) == garment_data / 'validation' / 'image'
    assert {'python', 'torch', 'mmdet', 'mmdet_multigrain'} <= set(run.versions)
    assert result.ann_file == f'{garment_data}/annotations/validation.json'


def test_detections_are_beside_the_file(tested):
    result = read_result(tested.result)
    assert result.detections_file == 'numbers.bbox.json'
    boxes = json.loads((tested.result.parent / result.detections_file).read_bytes())
    assert len(boxes) == result.summary.num_detections
    assert set(boxes[0]) == {'image_id', 'bbox', 'score', 'category_id'}


def test_pictures_show_detections_beside_the_truth(tested):
    pictures = sorted(tested.pictures.iterdir())
    assert [path.name for path in pictures] == [f'{n:06d}.jpg' for n in range(1, NUM_VAL + 1)]
    assert cv2.imread(str(pictures[0])).shape == (80, 2 * 64, 3)


def test_augmentation_changes_the_detections(tested, trained, garment_data, config, tmp_path):
    result = run_test(config, trained.checkpoint, tmp_path / 'run', garment_data, '--tta')
    assert result.status == 0, result.err
    numbers = json.loads((tmp_path / 'run' / 'result_tta.json').read_bytes())
    assert numbers['num_images'] == NUM_VAL
    assert numbers['run']['options'].split()[0] == '--tta'
    boxes, plain_boxes = (
        json.loads((file.parent / json.loads(file.read_bytes())['detections_file']).read_bytes())
        for file in (tmp_path / 'run' / 'result_tta.json', tested.result)
    )
    assert boxes[0].keys() == plain_boxes[0].keys()
    # Those of the image as it is and of its mirror image compete: the best of each image scores no
    # less than without, and some come from either.
    both, plain = (
        {(box['image_id'], *box['bbox']) for box in part} for part in (boxes, plain_boxes)
    )
    assert both & plain and both - plain
    best, plain_best = (
        {box['image_id']: box['score'] for box in sorted(part, key=lambda box: box['score'])}
        for part in (boxes, plain_boxes)
    )
    assert best.keys() == plain_best.keys()
    assert all(best[image] >= plain_best[image] - 1e-4 for image in best)


def test_the_groups_of_a_level(tested, trained, garment_data, config, tmp_path):
    result = run_test(
        config, trained.checkpoint, tmp_path / 'run', garment_data, '--level', 'coarse'
    )
    assert result.status == 0, result.err
    assert re.search(r'^group \(coarse, sum\) +3 classes +AP', result.out, re.MULTILINE)
    found = read_result(tmp_path / 'run' / 'result_coarse.json')
    assert found.run.options.split()[:2] == ['--level', 'coarse']
    assert found.taxonomy.classes == ('top', 'bottom', 'one-piece dress')
    assert found.leaves == read_result(tested.result).taxonomy
    for arguments, more in ((['--level', 'coarse'], []), ([], ['test_level=object'])):
        arguments = [*arguments, '--show-dir', tmp_path / 'pictures']
        work_dir = tmp_path / 'pictures_of_groups'
        result = run_test(config, trained.checkpoint, work_dir, garment_data, *arguments, more=more)
        assert result.status == 2 and 'draws the ground truth by class' in result.err


def test_lineages_change_nothing_else(tested, trained, garment_data, config, tmp_path):
    arguments = config, trained.checkpoint, tmp_path / 'run', garment_data, '--lineages'
    result = run_test(*arguments)
    assert result.status == 0, result.err
    results = [read_result(path) for path in (tmp_path / 'run' / 'result.json', tested.result)]
    assert results[0].summary == results[1].summary
    told, plain = (
        json.loads((path.parent / result.detections_file).read_bytes())
        for path, result in zip((tmp_path / 'run' / 'x', tested.result), results, strict=True)
    )
    assert all(0 <= box['lineage'][0] <= box['lineage'][1] <= 1 for box in told)
    assert plain == [{k: v for k, v in box.items() if k != 'lineage'} for box in told]
    for option in (['--tta'], ['--level', 'coarse']):
        assert run_test(*arguments, *option).error().endswith('; leave one out')


def test_the_config_of_the_training_stays(trained, garment_data, config, tmp_path):
    work_dir = shutil.copytree(trained.work_dir, tmp_path / 'run')
    before = (work_dir / config.name).read_bytes()
    for more in ([], ['model.roi_head.bbox_head.taxonomy=openimages_v4_clothing']):
        run_test(config, trained.checkpoint, work_dir, garment_data, more=[*more, 'max_iters=9'])
        assert (work_dir / config.name).read_bytes() == before


def test_the_same_test_can_be_repeated_but_another_one_replaces_nothing(
    tested, trained, garment_data, config, tmp_path
):
    folder = shutil.copytree(tested.result.parent, tmp_path / 'tested')
    arguments = ['--out', folder / 'numbers.json', '--show-dir', folder / 'pictures']
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    for more in (['--max-dets', 9], ['--tta']):
        line = run_test(config, trained.checkpoint, folder, garment_data, *arguments, *more).error()
        assert 'numbers.json: already exists, from another command; name another' in line
    other = trained.checkpoint.with_name('iter_1.pth')
    line = run_test(config, other, folder, garment_data, *arguments).error()
    assert 'numbers.json: already exists' in line
    assert before == {path: path.read_bytes() for path in before}
    for checkpoint, more in ((trained.checkpoint, ()), (other, ['--force'])):
        result = run_test(config, checkpoint, folder, garment_data, *arguments, *more)
        assert result.status == 0, result.err
    assert read_result(folder / 'numbers.json').run.iteration == 1


def test_a_test_replaces_no_input(trained, garment_data, config, tmp_path):
    data = shutil.copytree(garment_data, tmp_path / 'data')
    truth = data / 'annotations' / 'validation.json'
    for arguments, expected in (
        (['--out', truth, '--force'], 'would replace the input'),
        (['--show-dir', data / 'validation' / 'image', '--force'], 'holds the images'),
        (['--show-dir', data], 'holds files of another command'),
        (['--out', data / 'annotations' / 'train.json'], 'would replace the input'),
    ):
        line = run_test(config, trained.checkpoint, tmp_path / 'run', data, *arguments).error()
        assert expected in line
    assert not (tmp_path / 'run').exists()


def refused(config, checkpoint, tmp_path, data, more=()):
    """The one line; nothing is written as a result."""
    line = run_test(config, checkpoint, tmp_path / 'run', data, more=more).error()
    assert not (tmp_path / 'run' / 'result.json').exists()
    return line


def test_a_checkpoint_of_other_classes(trained, garment_data, config, tmp_path):
    more = ['model.roi_head.bbox_head.taxonomy=openimages_v4_clothing']
    line = refused(config, trained.checkpoint, tmp_path, garment_data, more)
    assert f'{trained.checkpoint}: cannot test with this config' in line
    assert '(14, 32) in the checkpoint but (41, 32) in the model' in line
    assert 'trained on 13 classes: short sleeve top' in line


def test_a_checkpoint_of_another_variant(trained, garment_data, config, tmp_path):
    without_groups = config.with_name(config.name.replace('wgroup', 'wogroup'))
    line = refused(without_groups, trained.checkpoint, tmp_path, garment_data)
    assert f'{trained.checkpoint}: cannot test with this config' in line
    assert 'bbox_head.grouped is True in the checkpoint but False in the config' in line


def test_another_taxonomy_to_evaluate_with(tested, trained, garment_data, config, tmp_path):
    taxonomy = tmp_path / 'halves.yaml'
    classes = Taxonomy.load('deepfashion2').classes
    taxonomy.write_text(yaml.safe_dump({'groups': {'a': [*classes[:6]], 'b': [*classes[6:]]}}))
    more = [f'eval_taxonomy={taxonomy}']
    assert run_test(config, trained.checkpoint, tmp_path, garment_data, more=more).status == 0
    ours, plain = read_result(tmp_path / 'result.json'), read_result(tested.result)
    assert ours.taxonomy.group_names(0) == ('a', 'b')
    assert ours.summary.fine.coco == pytest.approx(plain.summary.fine.coco, nan_ok=True)
    trained_as = ours.run.trained_as['roi_head.bbox_head']
    assert Taxonomy.load(trained_as['taxonomy']) == plain.taxonomy
    assert trained_as == plain.run.trained_as['roi_head.bbox_head']


def test_a_missing_checkpoint(trained, garment_data, config, tmp_path):
    line = refused(config, trained.work_dir / 'iter_3.pth', tmp_path, garment_data)
    assert "iter_3.pth: no such checkpoint; did you mean 'iter_" in line
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('keep', [0, 20, 5000], ids=['empty', 'garbage', 'truncated'])
def test_a_broken_checkpoint(trained, garment_data, config, tmp_path, keep):
    broken = tmp_path / 'broken.pth'
    content = b'not a checkpoint.....' if keep == 20 else trained.checkpoint.read_bytes()
    broken.write_bytes(content[:keep])
    line = refused(config, broken, tmp_path, garment_data)
    assert f'{broken}: not a whole checkpoint' in line


def test_an_image_that_cannot_be_read(trained, garment_data, config, tmp_path):
    more = [
        'test_dataloader.dataset.data_prefix.img=annotations',
        'test_dataloader.num_workers=1',
    ]
    line = refused(config, trained.checkpoint, tmp_path, garment_data, more)
    assert re.search(r'annotations/0000\d\d\.jpg: no such image', line)
