"""DeepFashion2: one annotation file and one image for each picture.

Annotations have the release's size and images its headers, but both are random: only reading is
timed.
"""

from __future__ import annotations

import functools
import io
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from benchmarks.common import processes
from benchmarks.speed.converter import figures
from benchmarks.speed.converter.baselines import parse_annotations
from mmdet_multigrain.converters.deepfashion2 import convert
from mmdet_multigrain.converters.synthetic_scene import CATEGORY_IDS, NUM_LANDMARKS, TRAIN_BOXES

ITEMS = {1: 0.42, 2: 0.53, 3: 0.05}  # 1.63 boxes a picture, as in the release
SIZES = ((468, 624), (750, 1000), (624, 468), (800, 800))


def measure(files: int, folder: Path, *, workers: int, repeats: int) -> dict[str, Any]:
    """Measure the conversion of so many pictures in an empty folder; print and return figures."""
    root, out_file = folder / 'release', folder / 'train.json'
    write_input(root, files)
    parse = functools.partial(parse_annotations, root, workers=workers)
    conversion = functools.partial(
        convert, root, 'train', out_file, workers=workers, progress=False
    )
    functions = {
        'parse': functools.partial(parse, heads=False),
        'parse + heads': functools.partial(parse, heads=True),
        'convert': functools.partial(conversion, force=True),
    }
    runs = figures.measure_in_rounds(functions, repeats=repeats)
    again = processes.measure(functools.partial(conversion, force=False)).seconds
    result = {'files': files, 'boxes': figures.check_boxes(runs), **figures.summarize(runs)}
    result |= {
        'files_per_second': files / result['convert']['seconds'],
        'ratio_to_parse': figures.time_ratio(runs, 'convert', 'parse'),
        'ratio_to_parse_and_heads': figures.time_ratio(runs, 'convert', 'parse + heads'),
        'up_to_date_seconds': again,
    }
    print(
        f'{files:,} files, {result["boxes"]:,} boxes, {workers} processes, '
        f'medians of {repeats} runs\n{figures.runs_table(runs, base="parse")}\n'
        f'convert / parse + heads: {result["ratio_to_parse_and_heads"]:.2f}; '
        f'{result["files_per_second"]:,.0f} files/s; second run, up to date: {again:.2f} s\n'
    )
    return result


def write_input(root: Path, count: int) -> None:
    """Write `count` pictures with annotations as ROOT/train."""
    rng, pictures = random.Random(0), _pictures()
    images, annotations = root / 'train' / 'image', root / 'train' / 'annos'
    for folder in (images, annotations):
        folder.mkdir(parents=True)
    for number in tqdm(range(1, count + 1), desc='writing input', unit='file', mininterval=1):
        width, height, jpeg = pictures[number % len(pictures)]
        (images / f'{number:06d}.jpg').write_bytes(jpeg)
        items = rng.choices(list(ITEMS), list(ITEMS.values()))[0]
        content = {f'item{n}': _item(rng, width, height) for n in range(items, 0, -1)}
        content |= {'source': rng.choice(('shop', 'user')), 'pair_id': number // 4}
        (annotations / f'{number:06d}.json').write_text(json.dumps(content))


def _item(rng: random.Random, width: int, height: int) -> dict[str, Any]:
    """One garment: a box, three polygons, its landmarks."""
    name = rng.choices(list(TRAIN_BOXES), list(TRAIN_BOXES.values()))[0]
    x1, y1 = rng.randrange(width // 2), rng.randrange(height // 2)
    x2, y2 = rng.randrange(x1 + 20, width + 1), rng.randrange(y1 + 20, height + 1)

    def points(number: int) -> list[int]:
        return [
            value for _ in range(number) for value in (rng.randint(x1, x2), rng.randint(y1, y2))
        ]

    landmarks = [
        [*points(1), rng.randint(1, 2)] if rng.random() < 0.7 else [0, 0, 0]
        for _ in range(NUM_LANDMARKS[name])
    ]
    return {
        'segmentation': [points(rng.randint(*most)) for most in ((12, 28), (5, 12), (5, 12))],
        'landmarks': sum(landmarks, []),
        'style': rng.randint(0, 5),
        'bounding_box': [x1, y1, x2, y2],
        'category_id': CATEGORY_IDS[name],
        'category_name': name,
        **{key: rng.randint(1, 3) for key in ('scale', 'viewpoint', 'zoom_in', 'occlusion')},
    }


def _pictures() -> list[tuple[int, int, bytes]]:
    """Width, height and JPEG of a few pictures; one of eight carries EXIF data."""
    pictures = []
    for number in range(8):
        width, height = SIZES[number % len(SIZES)]
        image = Image.new('RGB', (width, height), (20 * number, 90, 200))
        exif = image.getexif()
        if number == 7:
            exif[0x0112], exif[0x010F] = 1, 'Camera'
        stream = io.BytesIO()
        image.save(stream, 'JPEG', exif=exif if len(exif) else b'')
        pictures.append((width, height, stream.getvalue()))
    return pictures
