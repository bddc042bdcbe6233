"""Pictures that show what a detector sees in an image."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageColor

from mmdet_multigrain.taxonomy import Taxonomy
from mmdet_multigrain.taxonomy.nodes import Nodes
from mmdet_multigrain.utils.files import write_whole
from mmdet_multigrain.visualization.palette import NO_SUPERCLASS, class_palette, superclass_colors
from mmdet_multigrain.visualization.pictures import Mark, draw_marks
from mmdet_multigrain.visualization.style import readable

from .answers import answers_of
from .detector import Prediction

_READABLE_SIDE = 400  # pixels; about four labels fit side by side
_LONGEST_SIDE = 4000  # of an enlarged picture; formats have limits, WebP from 16383 on


def draw(prediction: Prediction, taxonomy: Taxonomy) -> Image.Image:
    """The image with boxes in the colors of their superclasses, small ones on top.

    Labels read `class (superclass) 0.87`, with an index instead of a name that no font here can
    show. With answers, each has one box, and one that is a group or any object reads `superclass?
    0.93`. Small images are enlarged, so that labels can be read.
    """
    picture = Image.fromarray(prediction.image[..., ::-1])
    zoom = min(round(_READABLE_SIDE / min(picture.size)), _LONGEST_SIDE // max(picture.size))
    size = max(1, zoom) * picture.width, max(1, zoom) * picture.height
    return draw_marks(picture, [*_marks(prediction, taxonomy)], size=size)


def _marks(prediction: Prediction, taxonomy: Taxonomy) -> Iterator[Mark]:
    """The box of each detection, or of each answer, with its label."""
    palette, colors = class_palette(taxonomy), superclass_colors(taxonomy)
    nodes = Nodes.of(taxonomy)
    if prediction.answer_levels is None:
        rows = [(*row, 0) for row in prediction.rows('labels', 'scores', 'boxes')]
    else:
        rows = [
            (answer.label, answer.score, answer.box, answer.level)
            for answer in answers_of(prediction, taxonomy)
        ]
    names = [
        readable(level, 'group' if number else 'class') for number, level in enumerate(nodes.names)
    ]
    for label, score, (x1, y1, x2, y2), level in rows:
        name, top = names[level][nodes.index[level, label]], taxonomy.superclass_of(label)
        if nodes.is_class(label, level):
            alone = top == taxonomy.classes[label]
            group = '' if alone else f' ({names[-2][nodes.index[-2, label]]})'
            text, color = f'{name}{group} {score:.2f}', palette[label]
        else:
            color = colors[top] if level < taxonomy.num_levels else NO_SUPERCLASS
            text, color = f'{name}? {score:.2f}', ImageColor.getrgb(color)
        yield Mark((x1, y1, x2 - x1, y2 - y1), text, color)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture atomically, in the format of its suffix; missing folders are created."""
    content = io.BytesIO()
    picture.save(content, format=Image.registered_extensions()[path.suffix.lower()], quality=92)
    write_whole(path, content.getvalue())
