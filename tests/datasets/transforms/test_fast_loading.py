"""The switch: one line of a config, whatever its scales and its data set are."""

import json

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmdet_multigrain.datasets.transforms import (
    FastLoading,
    LoadResized,
    PlanarPackDetInputs,
    use_fast_loading,
)
from mmdet_multigrain.launch import load_config

from .conftest import assert_same_but_pixels, draw, fast, pipeline, run

SCALES = [(1333, size) for size in range(640, 801, 32)]


def kinds(transform):
    return [type(step).__name__ for step in transform.compose.transforms]


def test_takes_the_faster_way_where_there_is_one():
    assert kinds(FastLoading(pipeline((300, 200)))) == [
        'LoadResized',
        'RandomFlip',
        'PlanarPackDetInputs',
    ]
    assert kinds(FastLoading(pipeline((300, 200)), reduced_decode=False)) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomChoiceResize',
        'RandomFlip',
        'PlanarPackDetInputs',
    ]
    steps = pipeline((300, 200))
    assert kinds(FastLoading([*steps[:2], *steps[3:]])) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomFlip',
        'PlanarPackDetInputs',
    ]
    assert kinds(FastLoading([steps[0], steps[3], steps[2]])) == [  # flipped before it is resized
        'LoadImageFromFile',
        'RandomFlip',
        'RandomChoiceResize',
    ]
    assert kinds(FastLoading([steps[2], steps[0]])) == ['RandomChoiceResize', 'LoadImageFromFile']
    assert kinds(FastLoading([*steps[:4], steps[2]])) == [  # of several the first
        'LoadResized',
        'RandomFlip',
        'RandomChoiceResize',
    ]
    keys = ('img_id',)
    pack = FastLoading([dict(type='PackDetInputs', meta_keys=keys)]).compose.transforms[0]
    assert isinstance(pack, PlanarPackDetInputs) and pack.meta_keys == keys


def test_a_given_up_sample_stays_none(tmp_path):
    steps = pipeline((300, 200), load=dict(ignore_empty=True))
    transform = FastLoading(steps)
    assert not any(isinstance(step, LoadResized) for step in transform.compose.transforms)
    assert transform(dict(img_path=str(tmp_path / 'none.jpg'), instances=[])) is None


def test_shows_what_it_does():
    text = repr(FastLoading(pipeline((300, 200))))
    assert text.startswith('FastLoading(') and '(300, 200)' in text and 'LoadAnnotations' in text


def test_two_runs_with_one_seed_are_equal(photo):
    path = photo(draw(401, 300))
    one, two = (run(fast(pipeline((140, 90), (140, 60))), path, seed=5) for _ in range(2))
    assert_same_but_pixels(one, two)
    assert one['inputs'].equal(two['inputs'])


@pytest.mark.parametrize(
    'name', ['wgroup_r101_fpn_df2', 'baseline_r101_fpn_oiv4c', 'faster-rcnn_r101_fpn_df2']
)
def test_one_more_base(repository, tmp_path, name):
    """Scales are the config's own, nothing else of it changes, and it can be dumped."""
    configs = repository / 'configs'
    leaf = tmp_path / 'leaf.py'
    bases = [
        str(configs / 'multigrain' / f'{name}.py'),
        str(configs / '_base_' / 'speed' / 'fast_loading.py'),
    ]
    leaf.write_text(f'_base_ = {bases!r}\n')
    stock, cfg = load_config(bases[0]), load_config(leaf)
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert [step.type for step in pipeline] == ['FastLoading']
    assert pipeline[0].transforms == stock.train_dataloader.dataset.pipeline
    assert pipeline[0].transforms[2].scales == SCALES
    assert 'fast_loading' not in cfg
    assert cfg.val_dataloader == stock.val_dataloader
    assert kinds(FastLoading(pipeline[0].transforms))[0] == 'LoadResized'
    cfg.dump(tmp_path / 'dumped.py')
    assert load_config(tmp_path / 'dumped.py').train_dataloader == cfg.train_dataloader


def test_options_of_the_command_line(repository):
    path = repository / 'configs' / 'multigrain' / 'wgroup_rfs_r101_fpn_df2.py'
    for options in (dict(cfg_options={'fast_loading': True}), dict(speed=['fast-loading'])):
        cfg = load_config(path, **options)
        inner = cfg.train_dataloader.dataset.dataset  # below the one that repeats rare classes
        assert [step.type for step in inner.pipeline] == ['FastLoading']
        assert cfg.train_dataloader.collate_fn == dict(type='collate_by_value')
    cfg = load_config(path, {'fast_loading': False})
    assert cfg.train_dataloader == load_config(path).train_dataloader
    cfg = load_config(path, {'fast_loading.reduced_decode': False}, speed=['fast-loading'])
    assert cfg.train_dataloader.dataset.dataset.pipeline[0].reduced_decode is False


def test_own_collate_function_stays_and_bad_configs_are_refused():
    cfg = Config(
        dict(
            fast_loading=True,
            train_dataloader=dict(
                collate_fn=dict(type='pseudo_collate'), dataset=dict(pipeline=pipeline((300, 200)))
            ),
        )
    )
    use_fast_loading(cfg)
    assert cfg.train_dataloader.collate_fn.type == 'pseudo_collate'
    with pytest.raises(ValueError, match='^fast_loading: no pipeline of train_dataloader'):
        use_fast_loading(Config(dict(fast_loading=True, train_dataloader=dict(dataset=dict()))))
    with pytest.raises(ValueError, match='^fast_loading: no pipeline of train_dataloader'):
        use_fast_loading(Config(dict(fast_loading=True)))


@pytest.fixture
def own_data(tmp_path, photo, monkeypatch):
    """Four photos of a user, two classes, one box each."""
    (tmp_path / 'photos').mkdir()
    for number in range(4):
        photo(draw(620, 900, seed=number), f'photos/{number}.jpg')
    (tmp_path / 'train.json').write_text(
        json.dumps(
            dict(
                images=[dict(id=n, file_name=f'{n}.jpg', width=620, height=900) for n in range(4)],
                annotations=[
                    dict(
                        id=n + 1,
                        image_id=n,
                        category_id=1 + n % 2,
                        bbox=[5, 6, 300.5, 400],
                        area=120200,
                        iscrowd=0,
                    )
                    for n in range(4)
                ],
                categories=[
                    dict(id=1, name='shirt', supercategory='top'),
                    dict(id=2, name='skirt', supercategory='bottom'),
                ],
            )
        )
    )
    monkeypatch.setenv('MULTIGRAIN_DATA', str(tmp_path))
    for name in ('TRAIN_ANN', 'VAL_ANN', 'IMAGES', 'TAXONOMY'):
        monkeypatch.delenv(f'MULTIGRAIN_{name}', raising=False)
    return tmp_path


@pytest.mark.parametrize('reduced', [False, True])
def test_batches_of_a_users_config(repository, own_data, reduced):
    """Through a worker, the same batches as without the switch."""
    path = repository / 'configs' / 'multigrain' / 'wgroup_r18_fpn_custom.py'

    def first_batch(**options):
        cfg = load_config(path, {'train_dataloader.batch_size': 4, **options})
        return next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=0)))

    stock, ours = first_batch(), first_batch(**{'fast_loading.reduced_decode': reduced})
    assert list(stock) == list(ours)
    assert len(stock['inputs']) == len(ours['inputs']) == 4
    for n in range(4):
        left, right = stock['data_samples'][n], ours['data_samples'][n]
        assert left.metainfo == right.metainfo
        assert left.gt_instances.bboxes.tensor.equal(right.gt_instances.bboxes.tensor)
        assert left.gt_instances.labels.equal(right.gt_instances.labels)
        assert stock['inputs'][n].shape == ours['inputs'][n].shape
        assert ours['inputs'][n].equal(stock['inputs'][n]) != reduced
