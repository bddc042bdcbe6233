"""Time what an exact resume costs: to find the batch of an iteration, and to seed generators.

python -m benchmarks.speed.resume --images 200000 --batch 24 --iteration 150000

The data set is made up: sizes and five boxes for each image, no image files, which neither way of
finding the batch would read. MMDetection's sampler gets there by making all batches before it;
MMEngine's loop, which asks the loader for them, would load their images as well.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from statistics import median

import numpy as np

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
    """Annotations as MMDetection keeps them, of images that are not there."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()

    def load_data_list(self) -> list[dict]:
        """A third of the images is wide."""
        boxes = np.random.RandomState(0).randint(0, 640, (5, 4)).tolist()
        instances = [dict(bbox=box, bbox_label=label, ignore_flag=0)
                     for label, box in enumerate(boxes)]  # fmt: skip
        return [
            dict(img_id=n, img_path=f'{n:06}.jpg', height=480 + 320 * (n % 3 > 0), width=640,
                 instances=instances)
            for n in range(self.size)
        ]  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def microseconds(work: Callable[[], object]) -> float:
    """Median time of a short call."""
    return 1e6 * median(seconds(work) for _ in range(1000))


def seed_a_sample() -> None:
    """What a sample costs beyond loading it."""
    with drawing_from((0, Stream.SAMPLE, 1)):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description='Time what an exact resume costs')
    parser.add_argument('--images', type=int, default=200_000)
    parser.add_argument('--batch', type=int, default=24, help='images of a batch (default: 24)')
    parser.add_argument('--iteration', type=int, default=150_000)
    args = parser.parse_args()
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
