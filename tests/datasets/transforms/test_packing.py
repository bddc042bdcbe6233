"""Packing in one copy, and sending boxes by value: bit for bit what stock gives."""

import io
import pickle
import warnings

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mmdet.datasets.transforms import PackDetInputs
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets.transforms import PlanarPackDetInputs, collate_by_value, packing
from mmdet_multigrain.datasets.transforms.packing import MAX_BYTES_BY_VALUE

VIEWS = {
    'as it is': lambda image: image,
    'flipped': lambda image: np.flip(image, axis=1),
    'upside down': lambda image: np.flip(image, axis=0),
    'both': lambda image: np.flip(image, axis=(0, 1)),
    'turned': lambda image: image.transpose(1, 0, 2),
    'cropped': lambda image: image[1:, 2:],
    'cropped and flipped': lambda image: image[1:, 2:][:, ::-1],
    'RGB': lambda image: image[..., ::-1],
    'float': lambda image: image.astype(np.float32),
    'gray': lambda image: image[..., 0],
    'four channels': lambda image: np.concatenate([image, image[..., :1]], axis=2),
}


def results(image):
    return dict(
        img=image,
        img_id=1,
        img_shape=image.shape[:2],
        flip=True,
        gt_bboxes=HorizontalBoxes(torch.rand(3, 4)),
        gt_bboxes_labels=np.arange(3),
        gt_ignore_flags=np.array([False, True, False]),
    )


@pytest.mark.parametrize('view', VIEWS)
@settings(max_examples=15, deadline=None)
@given(image=arrays.arrays(np.uint8, st.tuples(st.integers(3, 9), st.integers(3, 9), st.just(3))))
def test_packs_as_stock(view, image):
    image = VIEWS[view](image)
    before, sample = image.copy(), results(image)
    stock, ours = (kind().transform(dict(sample)) for kind in (PackDetInputs, PlanarPackDetInputs))
    assert list(stock) == list(ours)
    assert stock['inputs'].dtype == ours['inputs'].dtype and ours['inputs'].is_contiguous()
    assert stock['inputs'].equal(ours['inputs'])
    assert (image == before).all()
    left, right = stock['data_samples'], ours['data_samples']
    assert left.metainfo == right.metainfo
    assert left.gt_instances.bboxes.tensor.equal(right.gt_instances.bboxes.tensor)
    assert left.ignored_instances.labels.equal(right.ignored_instances.labels)


@pytest.mark.parametrize(
    ('view', 'codes'), [('as it is', []), ('flipped', [1]), ('upside down', [0]), ('both', [-1])]
)
def test_flips_by_opencv_what_numpy_copies_slowly(view, codes, monkeypatch):
    called, flip = [], cv2.flip
    monkeypatch.setattr(cv2, 'flip', lambda image, code: called.append(code) or flip(image, code))
    image = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    assert (
        packing.planar(VIEWS[view](image)).permute(1, 2, 0).tolist() == VIEWS[view](image).tolist()
    )
    assert called == codes


def test_packs_without_an_image():
    sample = results(np.zeros((4, 5, 3), np.uint8))
    del sample['img']
    assert list(PlanarPackDetInputs()(sample)) == ['data_samples']


class Samples:
    """Packed samples; the boxes of the last are too many to be sent by value."""

    def __init__(self, kind):
        self.pack = kind()

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        count = MAX_BYTES_BY_VALUE // 8 if index == 3 else index
        image = rng.integers(0, 256, (20 + index, 30, 3), np.uint8)
        return self.pack(
            dict(
                img=image[:, ::-1] if index % 2 else image,
                img_id=index,
                img_path=f'{index}.jpg',
                gt_bboxes=HorizontalBoxes(torch.from_numpy(rng.random((count, 4), np.float32))),
                gt_bboxes_labels=np.arange(count),
                gt_ignore_flags=np.arange(count) % 3 == 1,
            )
        )


@pytest.fixture
def batches():
    """The same samples by the stock way in this process, and by ours through a worker."""

    def load(kind, collate, workers):
        return list(
            DataLoader(
                Samples(kind),
                batch_size=2,
                collate_fn=collate,
                num_workers=workers,
                multiprocessing_context='fork' if workers else None,
            )
        )

    return (load(PackDetInputs, pseudo_collate, 0), load(PlanarPackDetInputs, collate_by_value, 1))


def test_worker_sends_what_stock_gives(batches):
    for stock, ours in zip(*batches, strict=True):
        assert type(ours) is type(stock) and list(stock) == list(ours)
        assert all(type(value) is list for value in ours.values())
        for left, right in zip(stock['inputs'], ours['inputs'], strict=True):
            assert left.equal(right) and right.is_contiguous()
        for left, right in zip(stock['data_samples'], ours['data_samples'], strict=True):
            assert type(left) is type(right) and left.metainfo == right.metainfo
            for part in ('gt_instances', 'ignored_instances'):
                one, two = getattr(left, part), getattr(right, part)
                assert type(two.bboxes) is HorizontalBoxes
                assert one.bboxes.tensor.equal(two.bboxes.tensor)
                assert one.labels.equal(two.labels)


def test_images_are_shared_and_few_boxes_are_not(batches):
    ours = batches[1]
    assert all(image.is_shared() for batch in ours for image in batch['inputs'])
    shared = [
        sample.gt_instances.bboxes.tensor.is_shared()
        for batch in ours
        for sample in batch['data_samples']
    ]
    assert shared == [False, False, False, True]


def test_what_is_sent_by_value():
    """Plain small tensors of this process; everything else as PyTorch sends it."""
    pickler = packing._Pickler(io.BytesIO())
    largest = torch.zeros(MAX_BYTES_BY_VALUE // 4)
    make, (array,) = pickler.reducer_override(largest)
    assert make is torch.from_numpy and array.nbytes == 2**15
    assert pickler.reducer_override(torch.zeros(2, 3, dtype=torch.float64)) is not NotImplemented
    for other in (
        torch.zeros(MAX_BYTES_BY_VALUE // 4 + 1),
        torch.zeros(3, dtype=torch.bfloat16),  # NumPy has no such type
        torch.zeros(3, requires_grad=True),
        torch.nn.Parameter(torch.zeros(3), requires_grad=False),
        torch.zeros(3, device='meta'),
        np.zeros(3),
    ):
        assert pickler.reducer_override(other) is NotImplemented


def test_what_arrives_can_be_written_to(batches):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        boxes = batches[1][1]['data_samples'][0].gt_instances.bboxes.tensor
        boxes += 1
    assert boxes.min() >= 1


def test_without_workers_it_is_stock():
    batch = [dict(inputs=torch.zeros(2), data_samples='one')] * 2
    assert collate_by_value(batch) == pseudo_collate(batch)
    assert type(collate_by_value(batch)['data_samples']) is list


def test_packed_samples_can_be_pickled():
    sample = Samples(PlanarPackDetInputs)[1]
    assert pickle.loads(pickle.dumps(sample))['inputs'].equal(sample['inputs'])
