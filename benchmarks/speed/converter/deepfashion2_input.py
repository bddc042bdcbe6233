"""Files of the shape of DeepFashion2's release: annotations of its size, images with its headers.

What the annotations say is random, and the pictures show nothing: only reading is to be timed.
"""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

# Class, share of the training boxes and number of landmarks: the paper's table 3, the release.
CLASSES = (
    ('short sleeve top', 71645, 25),
    ('long sleeve top', 36064, 33),
    ('short sleeve outwear', 543, 31),
    ('long sleeve outwear', 13457, 39),
    ('vest', 16095, 15),
    ('sling', 1985, 15),
    ('shorts', 36616, 10),
    ('trousers', 55387, 14),
    ('skirt', 30835, 8),
    ('short sleeve dress', 17211, 29),
    ('long sleeve dress', 7907, 37),
    ('vest dress', 17949, 19),
    ('sling dress', 6492, 19),
)
ITEMS = {1: 0.42, 2: 0.53, 3: 0.05}  # 1.63 boxes a picture, as in the release
SIZES = ((468, 624), (750, 1000), (624, 468), (800, 800))
INPUT_VERSION = 1
MANIFEST = 'benchmark_input.json'


def make_item(rng: random.Random, width: int, height: int) -> dict[str, Any]:
    """One garment: a box, three polygons, its landmarks."""
    category = rng.choices(range(len(CLASSES)), [share for _, share, _ in CLASSES])[0]
    name, _, num_landmarks = CLASSES[category]
    x1, y1 = rng.randrange(width // 2), rng.randrange(height // 2)
    x2, y2 = rng.randrange(x1 + 20, width + 1), rng.randrange(y1 + 20, height + 1)

    def polygon(least: int, most: int) -> list[int]:
        return [
            value
            for _ in range(rng.randint(least, most))
            for value in (rng.randint(x1, x2), rng.randint(y1, y2))
        ]

    landmarks = [
        value
        for _ in range(num_landmarks)
        for value in (
            (rng.randint(x1, x2), rng.randint(y1, y2), rng.randint(1, 2))
            if rng.random() < 0.7
            else (0, 0, 0)
        )
    ]
    return {
        'segmentation': [polygon(12, 28), polygon(5, 12), polygon(5, 12)],
        'scale': rng.randint(1, 3),
        'viewpoint': rng.randint(1, 3),
        'zoom_in': rng.randint(1, 3),
        'landmarks': landmarks,
        'style': rng.randint(0, 5),
        'bounding_box': [x1, y1, x2, y2],
        'category_id': category + 1,
        'occlusion': rng.randint(1, 3),
        'category_name': name,
    }


def make_annotation(rng: random.Random, number: int, width: int, height: int) -> bytes:
    """The annotation file of one picture, written as the release's are."""
    count = rng.choices(list(ITEMS), list(ITEMS.values()))[0]
    items = {f'item{n}': make_item(rng, width, height) for n in range(count, 0, -1)}
    return json.dumps(
        {**items, 'source': rng.choice(('shop', 'user')), 'pair_id': number // 4}
    ).encode()


def make_pictures() -> list[tuple[int, int, bytes]]:
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


def write_input(root: Path, count: int, *, seed: int = 0) -> None:
    """Write `count` pictures with annotations as ROOT/train, unless they are there already.

    Raises:
        ValueError: The folder holds something else.
    """
    manifest = {'input_version': INPUT_VERSION, 'files': count, 'seed': seed}
    if (root / MANIFEST).is_file() and load_json(root / MANIFEST) == manifest:
        return
    if root.exists():
        raise ConfigError(
            f'{root}: holds no complete input of this benchmark; remove the folder, '
            'or name another with --dir'
        )
    rng, pictures = random.Random(seed), make_pictures()
    for kind in ('image', 'annos'):
        (root / 'train' / kind).mkdir(parents=True)
    for number in tqdm(range(1, count + 1), desc='writing input', unit='file', mininterval=1):
        width, height, jpeg = pictures[number % len(pictures)]
        (root / 'train' / 'image' / f'{number:06d}.jpg').write_bytes(jpeg)
        (root / 'train' / 'annos' / f'{number:06d}.json').write_bytes(
            make_annotation(rng, number, width, height)
        )
    write_whole(root / MANIFEST, dump_json(manifest))
