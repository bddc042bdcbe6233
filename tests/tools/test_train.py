"""tools/train.py: what a run prints and saves, how it goes on, and what stops it."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from .conftest import REPOSITORY, call, options


def train(config, work_dir, data, *arguments, more=()):
    """Train within this process; `more` overrides config entries."""
    return call('train', config, '--work-dir', work_dir, *arguments, *options(data, *more))


def test_a_run_prints_what_it_does_and_saves(trained, garment_data):
    screen = trained.screen
    assert screen.err == ''
    assert screen.iterations == [(1, 2), (2, 2)]
    assert re.search(r'label +class +superclass +boxes', screen.out)
    content = json.loads((garment_data / 'annotations' / 'train.json').read_text())
    boxes = sum(item['category_id'] == 13 for item in content['annotations'])
    assert re.search(rf'12 +sling dress +one-piece dress +{boxes}\n', screen.out)
    assert 'Learning rate 0.0005 after warm-up, for batches of 2 images' in screen.out
    assert 'the schedule is for 8' in screen.out and 'auto_scale_lr gives' in screen.out
    assert screen.out.count('\nleaf        13 classes ') == 1 and 'coco/bbox_mAP:' not in screen.out
    lines = screen.out.splitlines()
    assert next(n for n, line in enumerate(lines) if 'Classes of' in line) < 10
    assert not re.search('Hooks will|System environment|auto_scale_lr =', screen.out)
    (log,) = trained.work_dir.glob('*/*.log')
    text = log.read_text()
    assert f'Environment, config and hooks: {log}' in screen.out
    for detail in ('Hooks will', 'System environment', 'auto_scale_lr = ', 'coco/bbox_mAP:'):
        assert detail in text
    assert {'iter_1.pth', 'iter_2.pth', 'last_checkpoint'} <= {
        path.name for path in trained.work_dir.iterdir()
    }
    assert 'OneDL' not in screen.out  # nothing of what importing mmdet prints


def test_a_run_ends_with_the_best_checkpoint_and_the_command_that_tests_it(trained):
    (best,) = trained.work_dir.glob('best_*.pth')
    score = json.loads((trained.work_dir / 'best_checkpoints.json').read_text())
    score = score['coco/bbox_mAP'][-1][0]
    what, command = trained.screen.out.splitlines()[-2:]
    assert what == f'best checkpoint ({score:.4f}): {best}'
    config = trained.work_dir / 'wgroup_r18_fpn_synthetic.py'
    _, _, script, *arguments = command.split()[1:]
    assert Path(script) == Path('tools/test.py') or Path(script) == REPOSITORY / 'tools/test.py'
    assert arguments == [str(config), str(best)]
    result = call('test', *arguments)  # no path, no option, no variable of the environment
    assert result.status == 0, result.err
    assert f'All numbers: {trained.work_dir / "result.json"}' in result.out.splitlines()[-1]


def test_without_validation_the_last_checkpoint_is_named(monkeypatch, tmp_path):
    how_to_test = runpy.run_path(str(REPOSITORY / 'tools' / 'train.py'))['how_to_test']
    monkeypatch.chdir(tmp_path)
    info = {'last_ckpt': str(tmp_path / 'a run' / 'iter_2.pth')}
    runner = SimpleNamespace(
        message_hub=SimpleNamespace(runtime_info=info), config_file=tmp_path / 'a run' / 'c.py'
    )
    what, command = how_to_test(runner).splitlines()
    assert what == 'last checkpoint: a run/iter_2.pth'
    assert command.endswith("tools/test.py 'a run/c.py' 'a run/iter_2.pth'")
    info |= {'best_ckpt_a': '/x/best_a.pth', 'best_score_a': 0.5}
    info |= {'best_ckpt_b': '/x/best_b.pth', 'best_score_b': 0.25}
    *what, command = how_to_test(runner).splitlines()
    assert what == [
        'best checkpoint (0.5000): /x/best_a.pth',
        'best checkpoint (0.2500): /x/best_b.pth',
    ]
    assert command.endswith('/x/best_a.pth')
    info.clear()
    assert how_to_test(runner) == 'no checkpoint was saved'


def test_resume_goes_on_in_a_folder_that_was_moved(trained, garment_data, config, tmp_path):
    work_dir = tmp_path / 'moved'
    shutil.copytree(trained.work_dir, work_dir)
    before = sorted(path.name for path in trained.work_dir.iterdir())
    more = [
        'train_cfg.max_iters=3',
        'train_cfg.val_interval=9',
        'default_hooks.exact_resume.allow_length_change=True',
    ]
    result = train(config, work_dir, garment_data, '--resume', more=more)
    assert result.status == 0, result.err
    assert before == sorted(path.name for path in trained.work_dir.iterdir())
    assert result.iterations == [(3, 3)]
    assert f'Load checkpoint from {work_dir / "iter_2.pth"}' in result.out
    before, after = (
        torch.load(folder / name, weights_only=False)['optimizer']['state'][0]['step']
        for folder, name in ((trained.work_dir, 'iter_2.pth'), (work_dir, 'iter_3.pth'))
    )
    assert (before, after) == (2, 3)


def test_resume_takes_the_one_before_a_broken_one(trained, garment_data, config, tmp_path):
    work_dir = tmp_path / 'run'
    shutil.copytree(trained.work_dir, work_dir)
    newest = work_dir / 'iter_2.pth'
    newest.write_bytes(newest.read_bytes()[:-1000])
    line = train(config, tmp_path / 'other', garment_data, '--resume', newest).error()
    assert f'{newest}: not a whole checkpoint' in line
    assert f'{work_dir / "iter_1.pth"} is complete' in line
    more = ['train_cfg.val_interval=9']
    result = train(config, work_dir, garment_data, '--resume', more=more)
    assert result.status == 0, result.err
    warning = re.search(
        r'WARNING\S* - (.*) not a whole checkpoint .*; looking for the one before', result.out
    )  # termcolor 2.0 colors it in a file, too
    assert warning[1] == f'{newest}:'
    assert result.iterations == [(2, 2)]
    for path in work_dir.glob('iter_*.pth'):
        path.write_bytes(b'')
    line = train(config, work_dir, garment_data, '--resume', more=more).error()
    assert f'{work_dir}: no checkpoint in it is whole' in line


def test_resume_needs_more_than_weights(trained, garment_data, config, tmp_path):
    best = tmp_path / 'best.pth'  # MMEngine leaves the optimizer out of the best checkpoint
    content = torch.load(trained.checkpoint, weights_only=False)
    del content['optimizer']
    torch.save(content, best)
    line = train(config, tmp_path / 'run', garment_data, '--resume', best).error()
    assert f'{best}: ' in line and "no 'optimizer'" in line and 'load_from' in line


def test_resume_without_a_checkpoint_starts_from_load_from(trained, garment_data, config, tmp_path):
    more = [f'load_from={trained.checkpoint}', 'train_cfg.max_iters=1', 'train_cfg.val_interval=9']
    other = config.with_name('merged_r18_fpn_synthetic.py')
    result = train(other, tmp_path / 'run', garment_data, '--resume', more=more)
    assert result.status == 0, result.err
    assert 'no checkpoint to resume from; starting from the beginning' in result.out
    assert result.iterations == [(1, 1)]
    given, total = map(
        int, re.search(r'Checkpoint gives (\d+) of the (\d+) tensors', result.out).groups()
    )
    assert 0 < given < total
    # The merged head has a predictor of its own width.
    assert re.search(r'\nfc_cls +new \(of \(\d+, \d+\)\)\n', result.out)
    assert re.search(r'\nbranch 1 +all\n', result.out)
    assert 'backbone' not in re.search(r'new, not in the checkpoint: .*', result.out).group()


def test_a_seed_gives_the_same_losses_again(trained, garment_data, config, tmp_path):
    again = train(config, tmp_path / 'same', garment_data, '--seed', 0)
    assert len(again.losses) == 2
    assert again.losses == trained.screen.losses


def test_another_seed_gives_other_losses_and_the_rate_can_be_scaled(
    trained, garment_data, config, tmp_path
):
    other = train(config, tmp_path / 'run', garment_data, '--seed', 1, '--auto-scale-lr')
    assert other.status == 0 and other.losses != trained.screen.losses
    assert 'Learning rate 0.000125 after warm-up, for batches of 2 images' in other.out
    assert 'scaled from the schedule for 8 (the number of iterations is not scaled)' in other.out


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU can do it')
def test_mixed_precision_needs_a_gpu(garment_data, config, tmp_path):
    line = train(config, tmp_path / 'run', garment_data, '--amp').error()
    assert '--amp needs a GPU; on a CPU, --speed amp-bf16 trains in mixed precision' in line
    both = train(config, tmp_path / 'run', garment_data, '--amp', '--speed', 'amp_bf16')
    assert both.error().endswith('--amp and --speed amp-bf16 both set the precision; choose one')


@pytest.mark.parametrize(
    ('more', 'expected'),
    [
        (['data_root=/nowhere'], '/nowhere/train/image/: no such image folder'),
        (
            ['train_dataloader.dataset.ann_file=annotations/tran.json'],
            'annotations/tran.json: no such annotation file',
        ),
        (
            ['model.roi_head.bbox_head.taxonomy=openimages_v4_clothing'],
            'model.roi_head.bbox_head has 40 classes, the data in .*train.json 13',
        ),
        (['train_dataloader.dataset.filter_cfg.min_size=999'], 'train.json: no image is left'),
        (['load_from=nowhere.pth'], 'nowhere.pth: no such checkpoint'),
        (['load_from=http://localhost:1/x.pth'], 'http://localhost:1/x.pth: cannot be loaded'),
        (['optim_wraper.optimizer.lr=1'], "has no 'optim_wraper'; did you mean 'optim_wrapper'"),
        (['max_iters=3', 'epochs=1'], 'epochs=1 and max_iters=3 both set the length'),
        (['keep_size=3'], "'keep_size' is a variable of .*, used only while it is read"),
        (['model.roi_head.bbox_head.type=Nonsense'], "'Nonsense' is not registered"),
        (['train_dataloader.nonsense=1'], "has no 'nonsense'; nothing reads it"),
        (['model.backbone.depht=50'], "takes no 'depht'; did you mean 'depth'"),
        (['train_cfg.max_iters=many'], "invalid literal for int.* 'many'"),
    ],
    ids=lambda value: value[0].split('=')[0] if isinstance(value, list) else '',
)
def test_wrong_input_is_answered_in_one_line(
    garment_data, config, tmp_path, monkeypatch, more, expected
):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    work_dir = tmp_path / 'run'
    line = train(config, work_dir, garment_data, more=more).error()
    assert re.search(expected, line)
    assert not [*work_dir.rglob('*.pth')]


def test_unknown_config(garment_data, config, tmp_path):
    wrong = config.with_name('wgroop_r18_fpn_synthetic.py')
    line = train(wrong, tmp_path / 'run', garment_data).error()
    assert "no such config; did you mean 'wgroup_r18_fpn_synthetic.py'" in line
    assert not (tmp_path / 'run').exists()


def test_an_option_without_a_value(config):
    result = call('train', config, '--cfg-options', 'nonsense')
    assert result.status == 2 and 'Traceback' not in result.err
    assert result.err.splitlines()[-1].endswith(
        "error: argument --cfg-options: 'nonsense' is not KEY=VALUE"
    )


def test_a_class_that_the_taxonomy_lacks(garment_data, config, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(garment_data, data)
    path = data / 'annotations' / 'train.json'
    content = json.loads(path.read_bytes())
    content['categories'][4]['name'] = 'waistcoat'
    path.write_text(json.dumps(content))
    line = train(config, tmp_path / 'run', data).error()
    assert str(path) in line and "'waistcoat'" in line and "taxonomy 'deepfashion2'" in line


@pytest.mark.parametrize('workers', [0, 1])
@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (None, 'no such image'),
        (b'', r'not a readable image \(.*\)'),
        (b'x' * 99, r'not a readable image \(.*\)'),
    ],
    ids=['missing', 'empty', 'garbage'],
)
def test_an_image_that_cannot_be_read(garment_data, config, tmp_path, workers, content, expected):
    data = tmp_path / 'data'
    shutil.copytree(garment_data, data)
    for path in (data / 'train' / 'image').iterdir():
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    more = [f'train_dataloader.num_workers={workers}']
    line = train(config, tmp_path / 'run', data, more=more).error()
    assert re.search(rf'{data}/train/image/\d+\.jpg: {expected}; .*{data}/annotations', line)


def test_blanks_in_paths(garment_data, config, tmp_path):
    data = tmp_path / 'my data'
    shutil.copytree(garment_data, data)
    more = ['train_cfg.max_iters=1', 'train_cfg.val_interval=9']
    result = train(config, tmp_path / 'my run', data, more=more)
    assert result.status == 0, result.err
    assert Path(tmp_path, 'my run', 'iter_1.pth').is_file()


def test_a_new_run_in_a_used_folder_is_refused_before_it_writes(
    trained, garment_data, config, tmp_path
):
    work_dir = shutil.copytree(trained.work_dir, tmp_path / 'run')
    before = {path: path.read_bytes() for path in work_dir.rglob('*') if path.is_file()}
    line = train(config, work_dir, garment_data, '--seed', 1).error()
    assert f'{work_dir}: already holds the checkpoints of a run (' in line
    assert before == {path: path.read_bytes() for path in work_dir.rglob('*') if path.is_file()}
