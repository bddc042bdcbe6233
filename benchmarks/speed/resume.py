"""What an exact resume costs: finding the batch of an iteration, and seeding generators.

python -m benchmarks.speed.resume --images 200000 --batch 24 --iteration 150000

The data set is made up: sizes and five boxes for each image, no image files, which neither way of
finding the batch would read. MMDetection's sampler makes all batches before it; MMEngine's loop,
which asks the loader for them, would load their images as well.
"""

from __future__ import annotations

import itertools
import timeit
from collections.abc import Callable
from statistics import median

import numpy as np

from benchmarks.common.activity import refuse_while_active
from benchmarks.common.arguments import make_parser, positive
from mmdet_multigrain.launch import quiet_imports, run_tool

with quiet_imports():
    from mmdet.datasets.samplers import AspectRatioBatchSampler
    from mmengine.dataset import BaseDataset, InfiniteSampler

    from mmdet_multigrain.datasets.samplers import (
        ExactAspectRatioBatchSampler,
        ExactInfiniteSampler,
    )
    from mmdet_multigrain.utils.seeding import Stream, drawing_from, seed_generators


class MadeUpPhotos(BaseDataset):
    """Annotations as MMDetection keeps them, of images that do not exist."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()

    def load_data_list(self) -> list[dict]:
        """A third of the images is wide."""
        boxes = np.random.RandomState(0).randint(0, 640, (5, 4)).tolist()
        instances = [dict(bbox=box, bbox_label=n, ignore_flag=0) for n, box in enumerate(boxes)]
        common = dict(width=640, instances=instances)
        return [
            dict(common, img_id=n, img_path=f'{n:06}.jpg', height=480 + 320 * (n % 3 > 0))
            for n in range(self.size)
        ]


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    return timeit.timeit(work, number=1)


def microseconds(work: Callable[[], object]) -> float:
    """Median time of a short call."""
    return 1e6 * median(timeit.repeat(work, number=1, repeat=1000))


def seed_a_sample() -> None:
    """What a sample costs beyond loading it."""
    with drawing_from((0, Stream.SAMPLE, 1)):
        pass


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('--images', type=positive, default=200_000, help='of the data set')
    parser.add_argument('--batch', type=positive, default=24, help='images of a batch')
    parser.add_argument('--iteration', type=positive, default=150_000, help='to resume at')
    args = parser.parse_args()
    refuse_while_active()
    dataset = MadeUpPhotos(args.images)
    exact = ExactAspectRatioBatchSampler(ExactInfiniteSampler(dataset, seed=0), args.batch)
    print(f'{args.images} images in batches of {args.batch}')
    print(f'  shapes of all images, once a start   {seconds(lambda: exact.upright):8.2f} s')
    for iteration in (0, args.iteration):
        exact.begin_at(epoch=0, batch=iteration)
        first = seconds(lambda: next(iter(exact)))
        print(f'  first batch at iteration {iteration:<11} {first:8.2f} s')
    stock = AspectRatioBatchSampler(InfiniteSampler(dataset, seed=0), args.batch)
    part = max(1, args.iteration // 100)
    replayed = seconds(lambda: list(itertools.islice(stock, part)))
    print(
        f'  the same by making all batches       {replayed * args.iteration / part:8.2f} s '
        f'(from {part} of them; without loading an image)'
    )
    print(f'seeding a sample      {microseconds(seed_a_sample):6.0f} us')
    model = microseconds(lambda: seed_generators((0, Stream.MODEL, 1, 0)))
    print(f'seeding an iteration  {model:6.0f} us')


if __name__ == '__main__':
    run_tool(main)
