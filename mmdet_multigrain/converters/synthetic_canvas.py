"""The painting of the synthetic DeepFashion2: colors, patterns, cloth, background, who hides whom.

Everything is painted at twice the final size; colors are BGR.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .synthetic_garments import Garment

OTHER = 255  # owner of a pixel that shows a body or an occluder
MIN_AREA = 100  # of a garment within the picture, in pixels of the drawing
MIN_INSIDE = 0.45  # least share of a garment's box that lies within the picture

Color = tuple[float, float, float]


def choose_color(
    rng: np.random.Generator,
    away_from: Sequence[Color] = (),
    contrast: float = 0,
    *,
    saturation: float = 0.85,
) -> Color:
    """A color (BGR) at some distance from others; it says nothing about the class."""
    best, best_distance = (0.0, 0.0, 0.0), -1.0
    for _ in range(12):
        hsv = rng.uniform((0, 0.03, 0.15), (1, saturation, 1))
        color = tuple(255 * c for c in colorsys.hsv_to_rgb(*hsv)[::-1])
        distance = min((np.linalg.norm(np.subtract(color, o)) for o in away_from), default=999)
        if distance > best_distance:
            best, best_distance = color, distance
        if distance >= contrast:
            break
    return best


def tinted(color: Color, factor: float) -> Color:
    """Darker (below 1) or lighter (above 1)."""
    return tuple(c * factor if factor <= 1 else 255 - (255 - c) / factor for c in color)


def fill(image: np.ndarray, polygons: list[np.ndarray], color: Any) -> None:
    """Fill each polygon (their union, for a mask)."""
    for polygon in polygons:
        cv2.fillPoly(image, [np.round(polygon * 16).astype(np.int32)], color, shift=4)


def stroke(image: np.ndarray, lines: list[np.ndarray], color: Any, width: float) -> None:
    """Draw polylines."""
    points = [np.round(line * 16).astype(np.int32) for line in lines]
    cv2.polylines(image, points, False, color, max(1, round(width)), cv2.LINE_AA, shift=4)


def to_pixels(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a 2x3 affine matrix to (n, 2) points."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def draw_pattern(
    cloth: np.ndarray, matrix: np.ndarray, unit: float, color: Color, rng: np.random.Generator
) -> None:
    """Plain, stripes, checks or dots, in the frame of the body; any class may have any."""
    pattern = rng.choice(['plain', 'plain', 'plain', 'across', 'along', 'checks', 'dots'])
    step = rng.uniform(0.12, 0.24)
    second = tinted(color, rng.choice([0.55, 1.9]))
    ticks = np.arange(-1.3, 2.8, step)
    lines = []
    if pattern in ('across', 'checks'):
        lines += [np.array([[-1.5, t], [1.5, t]]) for t in ticks]
    if pattern in ('along', 'checks'):
        lines += [np.array([[t, -0.5], [t, 2.8]]) for t in ticks if t < 1.3]
    if lines:
        stroke(cloth, [to_pixels(line, matrix) for line in lines], second, 0.3 * step * unit)
    if pattern == 'dots':
        grid = np.stack(np.meshgrid(ticks[ticks < 1.3], ticks), -1)
        grid[::2, :, 0] += step / 2
        radius = round(16 * 0.24 * step * unit)
        for center in np.round(16 * to_pixels(grid.reshape(-1, 2), matrix)).astype(int).tolist():
            cv2.circle(cloth, tuple(center), radius, second, -1, cv2.LINE_AA, shift=4)


@dataclass
class Item:
    """A garment in the picture: its class, its whole mask, and its extent beyond the picture."""

    name: str
    mask: np.ndarray  # (H, W) uint8 at drawing size, before occlusion
    extent: np.ndarray  # ((x1, y1), (x2, y2)) at drawing size, not clipped
    worn: bool


class Canvas:
    """The picture while it is painted, and which garment each pixel shows."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.owner = np.zeros(image.shape[:2], np.uint8)
        self.items: list[Item] = []

    def visible(self, number: int) -> float:
        """Visible share of the garment's area within the picture."""
        area = np.count_nonzero(self.items[number].mask)
        return np.count_nonzero(self.owner == number + 1) / area if area else 0.0

    def attempt(self, paint: Callable[[], None], *, min_visible: float) -> bool:
        """Paint, and take it back if a garment is then hidden or cut off too much."""
        image, owner, count = self.image.copy(), self.owner.copy(), len(self.items)
        paint()
        good = all(
            np.count_nonzero(item.mask) >= MIN_AREA
            and self.visible(number) >= min_visible
            and inside_share(item.extent, self.owner.shape) >= MIN_INSIDE
            for number, item in enumerate(self.items)
        )
        if not good:
            self.image, self.owner = image, owner
            del self.items[count:]
        return good

    def paint_shapes(self, polygons: list[np.ndarray], color: Color) -> None:
        """Paint something that is not a garment."""
        fill(self.image, polygons, color)
        fill(self.owner, polygons, OTHER)

    def paint_garment(
        self,
        name: str,
        garment: Garment,
        matrix: np.ndarray,
        color: Color,
        inner: Color,
        rng: np.random.Generator,
        *,
        worn: bool,
    ) -> None:
        """Paint one garment with pattern, shading, seams and outline."""
        unit = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        points = to_pixels(garment.points(), matrix)
        extent = np.stack([points.min(0), points.max(0)])
        height, width = self.owner.shape
        left, top = np.clip(np.floor(extent[0]).astype(int) - 2, 0, (width, height))
        right, bottom = np.clip(np.ceil(extent[1]).astype(int) + 3, 0, (width, height))
        whole = np.zeros((height, width), np.uint8)
        self.items.append(Item(name, whole, extent, worn))
        if right <= left or bottom <= top:
            return
        window = np.s_[top:bottom, left:right]
        matrix = matrix - [[0, 0, left], [0, 0, top]]

        def pixels(shapes: list[np.ndarray]) -> list[np.ndarray]:
            return [to_pixels(shape, matrix) for shape in shapes]

        mask = whole[window]
        fill(mask, pixels(garment.fabric + garment.inner + garment.trim), 255)
        cloth = np.full((*mask.shape, 3), color, np.uint8)
        draw_pattern(cloth, matrix, unit, color, rng)
        fill(cloth, pixels(garment.inner), inner)
        fill(cloth, pixels(garment.trim), tinted(color, rng.choice([0.7, 1.5])))
        shade = mask.copy()
        stroke(shade, pixels(garment.folds), 110, 0.03 * unit)
        shade = cv2.GaussianBlur(shade, (0, 0), max(0.6, 0.03 * unit))
        shade = cv2.convertScaleAbs(shade, alpha=0.45, beta=0.55 * 255)
        cloth = cv2.multiply(cloth, cv2.merge([shade] * 3), scale=1 / 255)
        dark = tinted(color, 0.45)
        stroke(cloth, pixels(garment.seams), dark, 0.012 * unit)
        radius = max(1, round(0.022 * unit))
        for x, y in pixels([np.array(garment.buttons)])[0] if garment.buttons else ():
            cv2.circle(cloth, (round(x), round(y)), radius, dark, -1, cv2.LINE_AA)
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(cloth, contours, -1, dark, max(1, round(0.012 * unit)))
        shown = mask > 0
        self.image[window][shown] = cloth[shown]
        self.owner[window][shown] = len(self.items)


def inside_share(extent: np.ndarray, shape: tuple[int, int]) -> float:
    """Which share of a box's area lies within the picture."""
    inside = np.clip(extent, 0, shape[::-1])
    return float(np.prod(inside[1] - inside[0]) / np.prod(extent[1] - extent[0]))


def draw_background(
    rng: np.random.Generator, width: int, height: int, clutter: tuple[int, int], boldness: float
) -> tuple[np.ndarray, list[Color]]:
    """A wall, a wall over a floor, or blotches; with shapes in it, at least and at most so many.

    At boldness 0 these are in the wall's color, at 1 in any. Returns the picture, and the colors
    that a garment has to stand out from.
    """
    base = choose_color(rng, saturation=0.45)
    other = tinted(base, rng.uniform(0.75, 1.4))
    kind = rng.choice(['gradient', 'floor', 'blotches'])
    if kind == 'blotches':
        spots = rng.normal(0, 16, (8, 6, 1)) + rng.normal(0, 5, (8, 6, 3))
        small = np.clip(spots + base, 0, 255).astype(np.uint8)
        image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        ramp = np.linspace(0, 1, height)[:, None, None]
        if kind == 'floor':
            ramp = 0.3 * ramp + 0.7 * (ramp > rng.uniform(0.6, 0.85))
        row = (1 - ramp) * np.array(base) + ramp * np.array(other)
        image = np.repeat(row, width, axis=1).astype(np.uint8)
    size = np.array([width, height])
    for _ in range(rng.integers(clutter[0], clutter[1] + 1)):
        free = choose_color(rng)
        color = tuple(np.add(base, boldness * np.subtract(free, base)))
        corners = rng.uniform(0, 1, 2) * size + rng.normal(0, 0.14, (rng.integers(3, 7), 2)) * size
        if rng.random() < 0.3:
            stroke(image, [corners[:2]], color, rng.uniform(0.005, 0.03) * width)
        else:
            fill(image, [cv2.convexHull(corners.astype(np.float32))[:, 0]], color)
    return image, [base, other]


def finish(
    rng: np.random.Generator, image: np.ndarray, size: tuple[int, int], *, light: float, noise: int
) -> np.ndarray:
    """Average the drawing down to its final size; change brightness and add sensor noise."""
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    gain = 1 + rng.uniform(-light, light)
    grain = rng.integers(-noise, noise + 1, small.shape, dtype=np.int16)
    return np.clip(small * gain + grain, 0, 255).astype(np.uint8)
