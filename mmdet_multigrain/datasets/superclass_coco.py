"""COCO data sets with superclasses: label order, errors for what does not match, and counts."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import cv2
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from mmdet_multigrain.coco.unannotated import (
    PER_IMAGE,
    UNANNOTATED,
    all_but,
    tells_annotated,
    unannotated_classes,
)
from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.utils.errors import AnnotationError, ConfigError
from mmdet_multigrain.utils.images import file_problem, image_size
from mmdet_multigrain.utils.parallel import default_workers
from mmdet_multigrain.visualization.palette import class_palette

from .taxonomy_coco import TaxonomyCOCO

# In the metainfo of a sample: the images whose place it took, and what is wrong with each.
SKIPPED = 'skipped_images'
_CHOICES = {
    'on_bad_image': ('stop', 'skip'),
    'coarse': ('label', 'ignore'),
    'unknown': ('raise', 'ignore'),
}


def taxonomy_metainfo(taxonomy: Taxonomy) -> dict[str, Any]:
    """The metainfo of a data set with this taxonomy: plain values, so checkpoints keep it."""
    palette = class_palette(taxonomy)
    return dict(classes=taxonomy.classes, palette=palette, taxonomy=taxonomy.to_dict())


@DATASETS.register_module()
class SuperclassCocoDataset(CocoDataset):
    """A COCO file read with a taxonomy.

    Label n is the n-th class of the taxonomy, wherever the file lists it and whichever of its
    aliases the file uses. Classes that do not match raise an error; what is left out (boxes
    outside the image, images without boxes, ...) is counted and reported once.

    Args:
        ann_file: COCO JSON file, relative to `data_root`.
        taxonomy: What `Taxonomy.load` takes. Defaults to the one in METAINFO.
        metainfo: Further entries; `classes` may only repeat the taxonomy's.
        allow_missing: Accept a file that lacks classes of the taxonomy. Defaults to False.
        allow_unknown: Leave out boxes of classes that the taxonomy lacks instead of raising: their
            objects become background. Defaults to False.
        coarse: What boxes are of which only the superclass is known: those of a category that has
            the name of a group, but not of a class, or is called "object". 'label': objects with
            labels above K (`Taxonomy.labels`), for heads that take them. 'ignore': ignore regions,
            which need an IgnoreRegionAssigner. Defaults to 'label'.
        unknown: 'raise' for boxes of classes that the taxonomy lacks, or 'ignore': ignore regions.
            Defaults to 'raise'.
        annotated: Where only some classes are annotated: their names, or those of groups for all
            their classes, if that is so in the whole file; 'per_image' if the images tell
            (`coco.unannotated`). Samples carry the classes that are left out, which needs a
            federated RoI head. Other classes may be missing in the file. Default: all classes are
            annotated on all images.
        on_bad_image: What training does with an image that cannot be read, is cut off, has too
            many pixels, or lies on its side: 'stop' (the default), or 'skip' it: another image,
            drawn by NumPy's generator, takes its place. Testing always stops, as leaving images
            out would change what is measured.
        **kwargs: Arguments of CocoDataset.

    Attributes:
        taxonomy: The taxonomy.
        box_counts: Boxes of each class, crowds not counted, in the images that `filter_cfg` and
            `indices` leave.
        coarse_counts: The same of the labels above K.
        num_ignored: Boxes in these images that `coarse` and `unknown` make ignore regions.
        annotated_counts: Of these images, those that annotate each class; None without `annotated`.
        tells_annotated: Whether images tell which classes they annotate.
        empty_counts: Those of these images without objects, and those that `filter_cfg` drops.

    Raises:
        MultigrainError: The taxonomy is missing or does not match the file, no image is left, or
            an image cannot be read.
    """

    METAINFO: dict = dict()

    def __init__(
        self,
        ann_file: str = '',
        *,
        taxonomy: Taxonomy | str | Mapping | None = None,
        metainfo: Mapping | None = None,
        allow_missing: bool = False,
        allow_unknown: bool = False,
        coarse: Literal['label', 'ignore'] = 'label',
        unknown: Literal['raise', 'ignore'] = 'raise',
        annotated: Sequence[str] | Literal['per_image'] | None = None,
        on_bad_image: Literal['stop', 'skip'] = 'stop',
        **kwargs,
    ) -> None:
        self.on_bad_image, self.coarse, self.unknown = on_bad_image, coarse, unknown
        for name, (one, other) in _CHOICES.items():
            if (value := getattr(self, name)) not in (one, other):
                raise ConfigError(f'{ann_file}: {name} is {value!r}, not {one!r} or {other!r}')
        self.annotated, self._allow_missing = annotated, allow_missing
        self.annotated_counts: list[int] | None = None
        self.tells_annotated = False
        self._skipped: dict[str, str] = {}
        taxonomy = taxonomy if taxonomy is not None else self.METAINFO.get('taxonomy')
        if taxonomy is None:
            raise ConfigError(
                f'{type(self).__name__} needs a taxonomy: a name, a YAML or COCO file'
            )
        self.taxonomy = Taxonomy.load(taxonomy)
        metainfo = dict(metainfo or {})
        classes = metainfo.pop('classes', self.taxonomy.classes)
        if tuple(classes) != self.taxonomy.classes or 'taxonomy' in metainfo:
            raise ConfigError(
                f'{ann_file}: metainfo gives other classes than taxonomy {self.taxonomy.name!r}, '
                "or a 'taxonomy' of its own; leave both out, the argument `taxonomy` gives them"
            )
        self.box_counts = [0] * self.taxonomy.num_classes
        self.coarse_counts = [0] * (len(self.taxonomy.labels) - self.taxonomy.num_classes - 1)
        self.num_ignored = 0
        self.empty_counts = 0, 0
        self._num_left_out = 0
        # CocoDataset builds its reader as self.COCOAPI(path).
        self.COCOAPI = functools.partial(
            TaxonomyCOCO,
            taxonomy=self.taxonomy,
            allow_missing=allow_missing or annotated is not None,
            allow_unknown=allow_unknown or unknown == 'ignore',
            coarse=True,
            on_unknown='ignored' if unknown == 'ignore' else 'left out',
        )
        metainfo = {**taxonomy_metainfo(self.taxonomy), **metainfo}
        super().__init__(ann_file=ann_file, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file; the image folder has to be there."""
        images = self.data_prefix.get('img', '')
        if self.backend_args is None and not Path(images).is_dir():
            fix = 'check data_root, and images or val_images (data_prefix)'
            raise AnnotationError(f'{images}: no such image folder; {fix}')
        data_list = super().load_data_list()
        vars(self).pop('_left_out', None)  # nothing that copies of the data set need
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse one image as CocoDataset does, counting the boxes that it leaves out."""
        items = [self._as_used(item) for item in raw_data_info['raw_ann_info']]
        data_info = super().parse_data_info({**raw_data_info, 'raw_ann_info': items})
        left_out = self._left_out(data_info['img_id'])
        if self.annotated is not None:
            data_info[UNANNOTATED] = left_out
        # Those of unknown classes were reported when the file was read.
        known = sum(item['category_id'] in self.cat2label for item in items)
        self._num_left_out += known - len(data_info['instances'])
        return data_info

    @functools.cached_property
    def _left_out(self) -> Callable[[int], tuple[int, ...]]:
        """Image id -> labels of the classes that it does not annotate, ascending."""
        file = self.coco.file
        self.tells_annotated = tells_annotated(file)
        if self.annotated == PER_IMAGE:
            of_image = unannotated_classes(file)
            return lambda image_id: of_image.get(image_id, ())
        if self.annotated is None:
            return lambda image_id: ()
        left_out = tuple(sorted(all_but(self.annotated, file, allow_missing=self._allow_missing)))
        return lambda image_id: left_out

    def _as_used(self, item: dict) -> dict:
        """An annotation, as a crowd if it is to be an ignore region."""
        label = self.cat2label.get(item['category_id'])
        if label is None and self.unknown == 'ignore':
            return {**item, 'category_id': self.cat_ids[-1], 'iscrowd': 1}  # some object
        if label is not None and label > self.taxonomy.num_classes and self.coarse == 'ignore':
            return {**item, 'iscrowd': 1}
        return item

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of an image's boxes that are classes, for samplers that balance classes."""
        return [label for label in super().get_cat_ids(idx) if label < self.taxonomy.num_classes]

    def filter_data(self) -> list[dict]:
        """Filter as CocoDataset does; tell what is left. Nothing left is an error.

        With `filter_empty_gt`, images of which all boxes were left out go too: CocoDataset asks
        the file, in which they still have boxes.
        """
        images = super().filter_data()
        if not self.test_mode and (self.filter_cfg or {}).get('filter_empty_gt', False):
            images = [image for image in images if image['instances']]
        total, left_out = len(self.data_list), len(self.data_list) - len(images)
        dropped = _empty(self.data_list) - _empty(images)
        if self._indices is not None:  # MMEngine would take these images after the counts
            self.data_list = images
            self.data_list = images = self._get_unserialized_subset(self._indices)
            self._indices = None
        self.empty_counts = _empty(images), dropped
        if not images:
            raise AnnotationError(
                f'{self.ann_file}: no image is left of {total}; each has no usable '
                'box, or is smaller than filter_cfg.min_size'
            )
        num_classes, counts = self.taxonomy.num_classes, [0] * len(self.taxonomy.labels)
        # Where no argument asks for a region, what is ignored is a crowd: background as any other.
        first = num_classes + 1 if self.coarse == 'ignore' else len(counts) - 1
        regions = range(first, len(counts)) if 'ignore' in (self.coarse, self.unknown) else ()
        for instance in itertools.chain(*(image['instances'] for image in images)):
            counts[instance['bbox_label']] += not instance['ignore_flag']
            self.num_ignored += instance['ignore_flag'] and instance['bbox_label'] in regions
        self.box_counts, self.coarse_counts = counts[:num_classes], counts[num_classes + 1 :]
        if self.annotated is not None:
            self.annotated_counts = [len(images)] * num_classes
            for label in (label for image in images for label in image[UNANNOTATED]):
                self.annotated_counts[label] -= 1
        usable, crowds = (
            sum(len(image['instances']) for image in part) for part in (self.data_list, images)
        )
        if usable + self._num_left_out and not sum(counts) and not self.test_mode:
            raise AnnotationError(
                f'{self.ann_file}: none of its {usable + self._num_left_out:,} boxes can be '
                f'trained on ({crowds:,} are crowds (iscrowd 1), {self._num_left_out:,} are outside '
                f'the image, smaller than a pixel, or marked ignore, {usable - crowds:,} are in '
                'images below filter_cfg.min_size); correct them (tools/check_dataset.py names them)'
            )
        why = '(without usable boxes, or smaller than filter_cfg.min_size)'
        why_boxes = '(outside the image, smaller than a pixel, or marked ignore)'
        boxes, coarse = sum(self.box_counts), sum(self.coarse_counts)
        parts = (
            f'{self.ann_file}: {len(images)} images, {boxes} boxes of {num_classes} classes',
            f', {coarse} with a superclass only' if coarse else '',
            f'; ignores {self.num_ignored} boxes without a class' if self.num_ignored else '',
            f'; left out {left_out} images {why}' if left_out else '',
            f'; left out {self._num_left_out} boxes {why_boxes}' if self._num_left_out else '',
        )
        print_log(''.join(parts), 'current')
        return images

    def check_images(self) -> None:
        """Look at all images before a run that would stop when it comes to them.

        JPEGs are not decoded, so damage in the middle of one is not found. Costs two short reads
        of a JPEG; other formats are decoded. Remote images (`backend_args`) are left out.

        Raises:
            AnnotationError: Images are missing, damaged or on their side; one line with the first.
        """
        if self.backend_args is not None:
            return
        infos = [self.get_data_info(idx) for idx in range(len(self))]
        paths = [info['img_path'] for info in infos]
        stated = [(info['width'], info['height']) for info in infos]
        with ThreadPoolExecutor(default_workers()) as pool:
            problems = dict(zip(paths, pool.map(_image_problem, paths, stated), strict=True))
        bad = [path for path, problem in problems.items() if problem]
        absent = [path for path in bad if not Path(path).is_file()]
        if absent:
            raise AnnotationError(
                f'{self.ann_file}: {len(absent)} of its {len(paths)} images are not there (first: '
                f'{absent[0]}); name the folder of its images (for validation data: val_images or '
                'MULTIGRAIN_VAL_IMAGES), get the files, or remove their entries'
            )
        if bad:
            more = f'; so {len(bad) - 1} more' if len(bad) > 1 else ''
            raise self._image_error(bad[0], problems[bad[0]] + more)

    def _image_error(self, path: str, problem: str) -> AnnotationError:
        return AnnotationError(
            f'{path}: {problem}; replace it, or remove its entry from {self.ann_file}'
        )

    def __getitem__(self, idx: int) -> Any:
        """A sample; `SKIPPED` in its metainfo lists the images that it replaces, if any."""
        self._skipped = {}
        data = super().__getitem__(idx)
        if self._skipped:
            sample = data.get('data_samples')
            if sample is None:  # a wrapper will mix it with others
                for path, problem in self._skipped.items():
                    print_log(f'{path}: {problem}; left out', 'current', logging.WARNING)
            else:
                sample.set_metainfo({SKIPPED: self._skipped})
        return data

    def prepare_data(self, idx: int) -> Any:
        """Load and transform one sample; an image that cannot be used is named.

        Returns:
            The sample, or None if it is to be replaced by another.
        """
        info = self.get_data_info(idx)
        path, stated = info['img_path'], (info['width'], info['height'])
        is_local = self.backend_args is None
        problem, data = file_problem(path) if is_local else None, None
        if problem is None:
            try:
                data = self.pipeline(info)
            except Exception:
                # What a decoder raises depends on the decoder and on what is wrong with the image.
                problem = _why_unreadable(path) if is_local else None
                if problem is None:
                    raise
            else:
                problem = _why_turned(_size(data), stated)
        if problem is None:
            if UNANNOTATED in info and 'data_samples' in (data or ()):
                samples = data['data_samples']  # test-time augmentation makes several
                for sample in samples if isinstance(samples, list) else [samples]:
                    sample.set_metainfo({UNANNOTATED: info[UNANNOTATED]})
            return data
        if self.on_bad_image == 'skip' and not self.test_mode:
            self._skipped[path] = problem
            return None
        raise self._image_error(path, problem) from None


def _empty(images: list[dict]) -> int:
    return sum(not image['instances'] for image in images)


def _image_problem(path: str, stated: tuple[int, int]) -> str | None:
    """What is wrong with an image file, without decoding it if it is a JPEG."""
    if problem := file_problem(path):
        return problem
    try:
        size = image_size(path)
        with open(path, 'rb') as file:
            is_jpeg = file.read(2) == b'\xff\xd8'
    except (OSError, ValueError):
        return _why_unreadable(path)
    return (None if is_jpeg else _why_unreadable(path)) or _why_turned(size, stated)


def _why_unreadable(path: str) -> str | None:
    """What is wrong with an image file; None if OpenCV reads it."""
    if not Path(path).is_file():
        return 'no such image'
    if cv2.imread(path) is not None:
        return None
    try:
        image_size(path)
    except ValueError as error:
        return f'not a readable image ({error})'
    return 'not a readable image'


def _size(data: Any) -> tuple[int, int] | None:
    """(width, height) of the image of a sample; None if a wrapper will mix it with others."""
    sample = data.get('data_samples') if isinstance(data, Mapping) else None
    shape = getattr(sample, 'ori_shape', None)
    return None if shape is None else (shape[1], shape[0])


def _why_turned(size: tuple[int, int] | None, stated: tuple[int, int]) -> str | None:
    """What is wrong with an image if its entry has (width, height) swapped."""
    if size is None or stated != size[::-1] or stated == size:
        return None
    width, height = size
    return (
        f'read upright (EXIF) it has {width} x {height} pixels, but its entry states '
        f'{stated[0]} x {stated[1]}; tools/check_dataset.py tells whether its boxes miss'
    )
