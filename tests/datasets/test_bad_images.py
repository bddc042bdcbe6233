"""Images that no decoder takes, or that are not what their entry says: stop or skip."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmdet_multigrain.datasets import SuperclassCocoDataset
from mmdet_multigrain.datasets.superclass_coco import SKIPPED
from mmdet_multigrain.utils.errors import AnnotationError
from mmdet_multigrain.utils.seeding import drawing_from

from ..conftest import READS_GIF

WIDTH, HEIGHT = 48, 36
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(60, 40), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]


def photo(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture whose upper left quarter is bright: a turned one differs."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: (height + 1) // 2, : (width + 1) // 2] = (40, 120, 240)
    return picture


def encoded(picture: np.ndarray, kind: str, **options) -> bytes:
    """Content of an image file, written by Pillow."""
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()


def turned_by_exif() -> bytes:
    """Lies on its side in the file; its EXIF data turn it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(photo()).copy(), 'JPEG', exif=exif)


JPEG, PNG = encoded(photo(), 'JPEG'), encoded(photo(), 'PNG')
RGB = Image.fromarray(photo())

# What loads well.
GOOD = {
    'jpeg': JPEG,
    'png': PNG,
    'cmyk': encoded(RGB.convert('CMYK'), 'JPEG'),
    'gray': encoded(RGB.convert('L'), 'JPEG'),
    'gray png': encoded(RGB.convert('L'), 'PNG'),
    'black and white': encoded(RGB.convert('1'), 'PNG'),
    'palette': encoded(RGB.convert('P'), 'PNG'),
    'alpha': encoded(RGB.convert('RGBA'), 'PNG'),
    'gray with alpha': encoded(RGB.convert('LA'), 'PNG'),
    '16 bits': cv2.imencode('.png', photo().astype(np.uint16) * 257)[1].tobytes(),
    '16 bits, gray': cv2.imencode('.png', photo()[..., 2].astype(np.uint16) * 257)[1].tobytes(),
    'progressive': encoded(photo(), 'JPEG', progressive=True),
    'turned by EXIF': turned_by_exif(),
    'a film behind its end': JPEG + bytes(5000),
    'webp': encoded(photo(), 'WEBP', lossless=True),
    'bmp': encoded(photo(), 'BMP'),
    'tiff': encoded(photo(), 'TIFF'),
    'another suffix': encoded(photo(), 'GIF' if READS_GIF else 'BMP'),
}
# What does not: content, and what is said of it.
BAD = {
    'no such image': (None, 'no such image'),
    'empty': (b'', 'not a readable image (an empty file)'),
    'one byte': (b'\xff', 'not a readable image'),
    'text': (b'<html>not found</html>', 'not a readable image'),
    'zeros': (bytes(1000), 'not a readable image'),
    'jpeg, half': (JPEG[: len(JPEG) // 2], 'cut off before its end'),
    'jpeg, last bytes': (JPEG[:-20], 'cut off before its end'),
    'png, half': (PNG[: len(PNG) // 2], 'cut off before its end'),
    'png, last bytes': (PNG[:-5], 'cut off before its end'),
    'webp, half': (GOOD['webp'][: len(GOOD['webp']) // 2], 'not a readable image'),
    'lies on its side': (
        encoded(np.rot90(photo()).copy(), 'JPEG'),
        'has 36 x 48 pixels, but its entry states 48 x 36; tools/check_dataset.py tells',
    ),
    # A file of some hundred bytes that would take up 3 GB.
    'a bomb': (
        PNG[:16] + (30000).to_bytes(4, 'big') * 2 + PNG[24:],
        '30000 x 30000 are too many pixels',
    ),
}
if not READS_GIF:
    BAD['gif'] = (encoded(photo(), 'GIF'), 'OpenCV reads those from version 4.12 on')


@pytest.fixture
def build(tmp_path, garments):
    """A data set of eight images with a box each; some contents are given, by position."""

    def build_dataset(contents: dict[int, bytes | None], **options) -> SuperclassCocoDataset:
        (tmp_path / 'photos').mkdir(exist_ok=True)
        for number in range(8):
            content = contents.get(number, JPEG)
            if content is not None:
                (tmp_path / 'photos' / f'{number}.jpg').write_bytes(content)
        size = options.pop('size', (WIDTH, HEIGHT))
        entries = {
            'images': [
                {'id': n, 'file_name': f'{n}.jpg', 'width': size[0], 'height': size[1]}
                for n in range(8)
            ],
            'categories': [{'id': n, 'name': name} for n, name in enumerate(garments.classes, 1)],
            'annotations': [
                {
                    'id': n + 1,
                    'image_id': n,
                    'category_id': 1,
                    'bbox': [0, 0, min(20, size[0]), min(10, size[1])],
                }
                for n in range(8)
            ],
        }
        (tmp_path / 'train.json').write_text(json.dumps(entries))
        return SuperclassCocoDataset(
            'train.json',
            data_root=str(tmp_path),
            data_prefix=dict(img='photos/'),
            taxonomy=garments,
            **{'pipeline': PIPELINE, **options},
        )

    return build_dataset


@pytest.mark.parametrize('kind', GOOD)
def test_what_loads_well_trains(build, kind):
    sample = build({0: GOOD[kind]})[0]
    assert SKIPPED not in sample['data_samples'].metainfo
    assert Path(sample['data_samples'].img_path).name == '0.jpg'
    assert sample['data_samples'].ori_shape == (HEIGHT, WIDTH)
    pixels = sample['inputs'].numpy()
    assert pixels.shape == (3, 40, 53) and pixels.dtype == np.uint8
    if sample['data_samples'].flip:
        pixels = pixels[:, :, ::-1]
    bright, dark = pixels[:, 5:15, 5:20], pixels[:, 25:, 35:]
    assert bright.max() > 80 and dark.max() < 40  # upright, with all of its range


@pytest.mark.parametrize('size', [(1, 36), (48, 1), (1, 1), (20000, 2), (2, 20000)])
def test_narrow_and_wide_images_train(build, size):
    content = encoded(photo(*size), 'PNG')
    wide = [
        dict(PIPELINE[0]),
        dict(PIPELINE[1]),
        dict(type='Resize', scale=(20000, 400), keep_ratio=True),
        *PIPELINE[3:],
    ]
    sample = build(dict.fromkeys(range(8), content), size=size, pipeline=wide)[0]
    assert sample['data_samples'].ori_shape == size[::-1]
    assert sample['inputs'].numel() > 0


@pytest.mark.parametrize('kind', BAD)
def test_training_stops_with_file_and_reason(build, tmp_path, kind):
    content, reason = BAD[kind]
    dataset = build({0: content})
    with pytest.raises(AnnotationError) as caught:
        dataset[0]
    line = str(caught.value)
    assert line.startswith(f'{tmp_path}/photos/0.jpg: ') and reason in line and '\n' not in line
    assert f'remove its entry from {tmp_path}/train.json' in line


@pytest.mark.parametrize('kind', BAD)
def test_training_skips(build, tmp_path, kind):
    content, reason = BAD[kind]
    dataset = build({0: content}, on_bad_image='skip')
    with drawing_from((0, 1)):
        sample = dataset[0]['data_samples']
    path = f'{tmp_path}/photos/0.jpg'
    assert sample.img_path != path
    assert list(sample.metainfo[SKIPPED]) == [path] and reason in sample.metainfo[SKIPPED][path]
    assert SKIPPED not in dataset[1]['data_samples'].metainfo


@pytest.mark.parametrize('kind', BAD)
def test_all_images_can_be_checked_before_a_run(build, tmp_path, kind):
    content, reason = BAD[kind]
    dataset = build({3: content, 5: content}, test_mode=True)
    with pytest.raises(AnnotationError) as caught:
        dataset.check_images()
    line = str(caught.value)
    assert '\n' not in line and f'{tmp_path}/photos/3.jpg' in line
    if content is None:
        assert f'{tmp_path}/train.json: 2 of its 8 images are not there (first: ' in line
        assert 'val_images or MULTIGRAIN_VAL_IMAGES' in line
    else:
        assert reason in line and '; so 1 more; ' in line
        assert f'remove its entry from {tmp_path}/train.json' in line


def test_the_check_finds_damage_within_a_png_and_passes_what_loads(build):
    damaged = bytearray(PNG)
    damaged[PNG.index(b'IDAT') + 4 : PNG.index(b'IDAT') + 30] = bytes(26)
    with pytest.raises(AnnotationError, match='2.jpg: not a readable image; replace it'):
        build({2: bytes(damaged)}, test_mode=True).check_images()
    for start in range(0, len(GOOD), 8):
        build(dict(enumerate([*GOOD.values()][start : start + 8])), test_mode=True).check_images()
    build({0: None}, test_mode=True, backend_args=dict(backend='local')).check_images()


def test_testing_stops_whatever_the_policy(build):
    dataset = build({0: b''}, on_bad_image='skip', test_mode=True)
    with pytest.raises(AnnotationError, match='0.jpg: not a readable image'):
        dataset[0]


def test_the_replacement_depends_on_the_generators_alone(build):
    """Not on the worker, nor on what was loaded before."""

    class Seeded:
        def __init__(self, dataset):
            self.dataset = dataset

        def __len__(self):
            return len(self.dataset)

        def __getitem__(self, index):
            with drawing_from((7, index)):
                return self.dataset[index]

    dataset = Seeded(build({n: b'' for n in (0, 1, 3, 6)}, on_bad_image='skip'))
    seen = []
    for workers in (0, 2, 3):
        loader = DataLoader(dataset, batch_size=2, num_workers=workers, collate_fn=pseudo_collate)
        samples = [sample for batch in loader for sample in batch['data_samples']]
        seen.append(
            [
                (
                    Path(sample.img_path).name,
                    sample.flip,
                    sorted(map(Path, sample.get(SKIPPED, ()))),
                )
                for sample in samples
            ]
        )
    assert seen[0] == seen[1] == seen[2]
    names = [name for name, _, _ in seen[0]]
    assert len(names) == 8 and not {'0.jpg', '1.jpg', '3.jpg', '6.jpg'} & {*names}
    assert [names[n] for n in (2, 4, 5, 7)] == ['2.jpg', '4.jpg', '5.jpg', '7.jpg']
    assert len({*names}) > 2  # drawn, not always the same


def test_a_wrapper_that_mixes_images_still_tells(build, log):
    dataset = build({0: b''}, on_bad_image='skip', pipeline=PIPELINE[:2])
    assert dataset[0]['img_path'] != dataset.get_data_info(0)['img_path']
    assert len(log) >= 1 and '0.jpg: not a readable image (an empty file); left out' in log[-1]


def test_an_unknown_policy(build):
    with pytest.raises(ValueError, match="on_bad_image is 'ignore', not 'stop' or 'skip'"):
        build({}, on_bad_image='ignore')
