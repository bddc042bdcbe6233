"""One picture of the synthetic DeepFashion2, and its annotation, from (seed, split, index).

What is shown, how often, where, and how hard that is to learn. Shapes are in
`synthetic_garments`, the painting in `synthetic_canvas`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields
from typing import Any

import cv2
import numpy as np

from .synthetic_canvas import (
    Canvas,
    Color,
    choose_color,
    draw_background,
    finish,
    inside_share,
    tinted,
    to_pixels,
)
from .synthetic_garments import GARMENT_TYPES, Garment, Pose, ellipse, make_body, make_garment

#: Training boxes per class in the release (paper, table 3), in the order of the category ids.
TRAIN_BOXES = {
    'short sleeve top': 71645,
    'long sleeve top': 36064,
    'short sleeve outwear': 543,
    'long sleeve outwear': 13457,
    'vest': 16095,
    'sling': 1985,
    'shorts': 36616,
    'trousers': 55387,
    'skirt': 30835,
    'short sleeve dress': 17211,
    'long sleeve dress': 7907,
    'vest dress': 17949,
    'sling dress': 6492,
}
#: Landmarks per class in the release (294 in all), in the order of the category ids.
NUM_LANDMARKS = dict(
    zip(TRAIN_BOXES, (25, 33, 31, 39, 15, 15, 10, 14, 8, 29, 37, 19, 19), strict=True)
)
CATEGORY_IDS = {name: number for number, name in enumerate(TRAIN_BOXES, start=1)}
#: How often the first pictures of a split go once through all classes.
GUARANTEED_ROUNDS = {'train': 3, 'validation': 1}

SUPERSAMPLING = 2  # drawn at twice the size, then averaged down: smooth edges


def _levels(easy: Any, medium: Any, hard: Any) -> Any:
    return field(metadata={'levels': (easy, medium, hard)})


@dataclass(frozen=True)
class Difficulty:
    """What makes a set easy, medium or hard to learn."""

    # class frequencies are table 3's to this power; 1 is the release
    frequency_exponent: float = _levels(0.4, 0.75, 1.0)
    # probabilities of 1, 2, ... figures (of one or two garments) in a picture
    figures: tuple[float, ...] = _levels((1.0,), (0.5, 0.35, 0.15), (0.35, 0.35, 0.2, 0.1))
    # share of tops that come with a bottom, or the reverse, whichever are fewer
    pairs: float = _levels(0.35, 0.5, 0.6)
    worn: float = _levels(0.5, 0.6, 0.7)  # probability that a body wears the garments
    # range of a figure's size relative to the room that it has
    fill: tuple[float, float] = _levels((0.85, 0.98), (0.5, 0.98), (0.35, 0.98))
    spill: float = _levels(0.0, 0.15, 0.35)  # how far its room reaches into its neighbors'
    crop: float = _levels(0.0, 0.15, 0.3)  # probability that it reaches beyond the picture
    rotation: float = _levels(8, 15, 25)  # largest rotation in degrees
    lean: float = _levels(0.06, 0.12, 0.2)  # largest sideways shear
    arm_raise: float = _levels(0.8, 1.2, 1.8)  # largest angle of an arm from hanging, in radians
    hem_overlap: float = _levels(0.05, 0.12, 0.2)  # how far a top may reach over the bottom
    contrast: float = _levels(90, 50, 20)  # least distance in RGB: cloth, background and skin
    clutter: tuple[int, int] = _levels((0, 4), (3, 12), (8, 25))  # numbers of background shapes
    boldness: float = _levels(0.3, 0.6, 1.0)  # how far their colors are from the wall's, 0 to 1
    occluders: float = _levels(0.1, 0.6, 1.5)  # mean number of bars and bags in front
    min_visible: float = _levels(0.7, 0.5, 0.35)  # least visible share of a garment's area
    noise: int = _levels(6, 12, 20)  # largest change of a pixel by sensor noise
    light: float = _levels(0.15, 0.3, 0.45)  # largest relative change of the brightness


DIFFICULTIES = {
    name: Difficulty(**{one.name: one.metadata['levels'][level] for one in fields(Difficulty)})
    for level, name in enumerate(('easy', 'medium', 'hard'))
}


def class_weights(difficulty: Difficulty, names: list[str]) -> np.ndarray:
    """Relative frequencies of some classes; they do not sum to 1."""
    return np.array([TRAIN_BOXES[name] for name in names]) ** difficulty.frequency_exponent


def choose_outfit(rng: np.random.Generator, difficulty: Difficulty, lead: str | None) -> list[str]:
    """The garments of one figure: a dress, a top, a bottom, or a bottom under a top.

    Tops and bottoms are drawn independently, and a pair counts for both; so the expected class
    frequencies are exactly those of :func:`class_weights`.
    """
    by_silhouette = {
        s: [n for n, t in GARMENT_TYPES.items() if t.silhouette == s]
        for s in ('bottom', 'top', 'dress')
    }
    mass = {s: class_weights(difficulty, names).sum() for s, names in by_silhouette.items()}
    pairs = difficulty.pairs * min(mass['top'], mass['bottom'])
    outfits = {
        ('bottom', 'top'): pairs,
        ('top',): mass['top'] - pairs,
        ('bottom',): mass['bottom'] - pairs,
        ('dress',): mass['dress'],
    }
    if lead is not None:
        outfits = {o: m for o, m in outfits.items() if GARMENT_TYPES[lead].silhouette in o}
    share = np.array(list(outfits.values()))
    outfit = list(outfits)[rng.choice(len(outfits), p=share / share.sum())]
    chosen = []
    for silhouette in outfit:
        names = by_silhouette[silhouette]
        weights = class_weights(difficulty, names)
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        chosen.append(lead if lead in names else name)
    return chosen


def choose_pose(rng: np.random.Generator, difficulty: Difficulty) -> Pose:
    """Where arms and legs are."""

    def arm() -> tuple[float, float]:
        raised = rng.uniform(0.25, difficulty.arm_raise)
        return raised, rng.uniform(-0.3, 0.25) * difficulty.arm_raise

    arms, legs = (arm(), arm()), tuple(rng.uniform(0.02, 0.16, 2))
    return Pose(arms, legs, shoulder=rng.uniform(0.35, 0.40), hip=rng.uniform(0.31, 0.35))


@dataclass
class Figure:
    """Garments that share a pose, and perhaps a body, not yet placed."""

    names: list[str]  # class names in the order of painting
    garments: list[Garment]  # their shapes, in the body frame
    pose: Pose  # the pose that they share
    worn: bool  # whether a body is painted under them
    turn: np.ndarray  # (2, 2) linear map: rotation, lean, and how much the body is turned aside

    def extent(self) -> np.ndarray:
        """((x1, y1), (x2, y2)) of the turned garments at scale 1."""
        points = np.concatenate([garment.points() for garment in self.garments]) @ self.turn.T
        return np.stack([points.min(0), points.max(0)])


def choose_figure(rng: np.random.Generator, difficulty: Difficulty, lead: str | None) -> Figure:
    """Draw outfit, pose and shapes."""
    names = choose_outfit(rng, difficulty, lead)
    pose = choose_pose(rng, difficulty)
    hem = 0.8 + rng.uniform(0, difficulty.hem_overlap) if len(names) > 1 else None
    angle = np.deg2rad(rng.uniform(-1, 1) * difficulty.rotation)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = rng.uniform(-1, 1) * difficulty.lean
    aside = 1 - rng.uniform(0, difficulty.lean)
    return Figure(
        names,
        [make_garment(name, pose, rng, hem=hem) for name in names],
        pose,
        worn=bool(rng.random() < difficulty.worn),
        turn=rotation @ np.array([[aside, lean], [0, 1]]),
    )


def choose_rooms(figures: list[Figure], size: np.ndarray) -> list[np.ndarray]:
    """Divide the picture into a room per figure: the grid in which the smallest is largest."""
    count = len(figures)
    grids = [(columns, -(-count // columns)) for columns in range(1, count + 1)]
    extents = [np.diff(figure.extent(), axis=0)[0] for figure in figures]
    columns, rows = max(grids, key=lambda grid: min((size / grid / e).min() for e in extents))
    room = size / (columns, rows)
    corners = [np.array([n % columns, n // columns]) * room for n in range(count)]
    return [np.stack([corner, corner + room]) for corner in corners]


def place(
    rng: np.random.Generator,
    figure: Figure,
    room: np.ndarray,
    *,
    fill_range: tuple[float, float],
    spill: float,
) -> np.ndarray:
    """The 2x3 matrix from the body frame into a room; a fill above 1 reaches beyond it."""
    extent = figure.extent()
    grown = room + spill * 0.5 * np.diff(room, axis=0) * [[-1], [1]]
    available = grown[1] - grown[0]
    needed = extent[1] - extent[0]
    scale = rng.uniform(*fill_range) * (available / needed).min()
    corner = grown[0] + rng.uniform(0, 1, 2) * (available - scale * needed)
    return np.column_stack([scale * figure.turn, corner - scale * extent[0]])


def paint_figure(
    rng: np.random.Generator,
    canvas: Canvas,
    figure: Figure,
    matrix: np.ndarray,
    backdrop: list[Color],
    contrast: float,
) -> None:
    """Paint a body (if there is one) and the garments over it."""
    taken = list(backdrop)
    if figure.worn:
        silhouettes = {GARMENT_TYPES[name].silhouette for name in figure.names}
        body = make_body(figure.pose, upper=silhouettes != {'bottom'}, lower=silhouettes != {'top'})
        skin = tinted((150, 185, 235), rng.uniform(0.35, 1.1))
        taken.append(skin)
        dark = tinted(choose_color(rng), 0.5)
        for part, shapes in body.items():
            color = skin if part == 'skin' else dark
            canvas.paint_shapes([to_pixels(shape, matrix) for shape in shapes], color)
    for name, garment in zip(figure.names, figure.garments, strict=True):
        color = choose_color(rng, taken, contrast)
        taken.append(color)
        inner = choose_color(rng, [color], max(contrast, 110))  # an open front must show
        canvas.paint_garment(name, garment, matrix, color, inner, rng, worn=figure.worn)


def paint_occluder(rng: np.random.Generator, canvas: Canvas) -> None:
    """Paint a bar across the picture, or a bag."""
    size = np.array(canvas.owner.shape[::-1])
    middle = rng.uniform(0.1, 0.9, 2) * size
    color = choose_color(rng)
    if rng.random() < 0.5:
        angle = rng.uniform(0, np.pi)
        ahead = np.array([np.cos(angle), np.sin(angle)])
        aside = ahead[::-1] * (-1, 1) * rng.uniform(0.02, 0.06) * size[0]
        start, end = middle - ahead * size.sum(), middle + ahead * size.sum()
        shapes = [np.stack([start - aside, end - aside, end + aside, start + aside])]
    else:
        width, height = rng.uniform(0.06, 0.16, 2) * size[0]
        shapes = [ellipse(*middle, width, height)]
    canvas.paint_shapes(shapes, color)


def describe(canvas: Canvas, number: int) -> dict[str, Any]:
    """The annotation of one item, with the keys of the release.

    The box is the extent of the item's whole mask within the picture, at final size;
    `x2`, `y2` are exclusive, so that a width is `x2 - x1`.
    """
    item = canvas.items[number]
    height, width = (side // SUPERSAMPLING for side in item.mask.shape)
    mask = cv2.resize(item.mask, (width, height), interpolation=cv2.INTER_AREA) >= 128
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    x1, y1, x2, y2 = (int(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    share = (x2 - x1) * (y2 - y1) / (width * height)
    hidden = 1 - canvas.visible(number)
    outside = 1 - inside_share(item.extent, item.mask.shape)
    return {
        'segmentation': [c.ravel().tolist() for c in contours if len(c) >= 3],
        'scale': 1 + (share >= 0.1) + (share >= 0.4),
        'viewpoint': 2 if item.worn else 1,
        'zoom_in': 1 + (outside > 0.02) + (outside > 0.3),
        'landmarks': [0] * (3 * NUM_LANDMARKS[item.name]),  # all "not labeled"
        'style': 0,
        'bounding_box': [x1, y1, x2, y2],
        'category_id': CATEGORY_IDS[item.name],
        'occlusion': 1 + (hidden > 0.2) + (hidden > 0.5),
        'category_name': item.name,
    }


def render_scene(
    *, seed: int, split: str, index: int, size: tuple[int, int], difficulty: Difficulty
) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw one picture; a pure function of its arguments.

    Args:
        seed: Of the whole set.
        split: `train` or `validation`; their pictures differ.
        index: Number of the picture in its split, from 1.
        size: Width and height in pixels.
        difficulty: How hard it is to learn.

    Returns:
        The picture, (height, width, 3) uint8 BGR, and its annotation in the release's format.
    """
    splits = list(GUARANTEED_ROUNDS)
    rng = np.random.default_rng([seed, splits.index(split), index])
    drawing_size = SUPERSAMPLING * np.array(size)
    image, backdrop = draw_background(rng, *drawing_size, difficulty.clutter, difficulty.boldness)
    canvas = Canvas(image)
    guaranteed = index <= GUARANTEED_ROUNDS[split] * len(TRAIN_BOXES)
    lead = list(TRAIN_BOXES)[(index - 1) % len(TRAIN_BOXES)] if guaranteed else None
    count = 1 + rng.choice(len(difficulty.figures), p=difficulty.figures)
    figures = [choose_figure(rng, difficulty, lead if n == 0 else None) for n in range(count)]
    for figure, room in zip(figures, choose_rooms(figures, drawing_size), strict=True):
        cropped = rng.random() < difficulty.crop
        for fill_range in ((1.1, 1.7) if cropped else difficulty.fill, difficulty.fill):
            matrix = place(rng, figure, room, fill_range=fill_range, spill=difficulty.spill)
            paint = functools.partial(
                paint_figure, rng, canvas, figure, matrix, backdrop, difficulty.contrast
            )
            if canvas.attempt(paint, min_visible=difficulty.min_visible):
                break
    for _ in range(rng.poisson(difficulty.occluders)):
        canvas.attempt(lambda: paint_occluder(rng, canvas), min_visible=difficulty.min_visible)
    items = {f'item{n + 1}': describe(canvas, n) for n in range(len(canvas.items))}
    image = finish(rng, canvas.image, size, light=difficulty.light, noise=difficulty.noise)
    source = 'user' if any(item.worn for item in canvas.items) else 'shop'
    return image, {'source': source, 'pair_id': index, **items}
