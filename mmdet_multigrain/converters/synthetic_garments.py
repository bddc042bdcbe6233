"""The shapes of the 13 garments and of the body under them: geometry only.

Everything is in the body frame: x to the wearer's side, y down, the middle of the neck at the
origin, shoulder to hip about 1. No pixels, no colors, no files: those belong to
`synthetic_scene` and `synthetic_deepfashion2`.

Classes of one superclass share the silhouette and differ in a detail:

==============  ========================================================================
top             torso to the hip; sleeves short, long, none (vest) or straps (sling);
                outwear is open in front, with lapels and an inner layer
bottom          from the waist down; two short legs, two long legs, or one flared piece
one-piece dress the torso of a top that runs on into a flared skirt
==============  ========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Points = np.ndarray  # (n, 2) float, body frame

WAIST = 0.72
CROTCH = 1.10


@dataclass(frozen=True)
class GarmentType:
    """What makes a class: its silhouette and the detail that sets it apart."""

    silhouette: str  # `top`, `bottom` or `dress`; fixes how it combines with others
    # sleeve (`short`, `long`, `none`, `straps`) of a top or a dress, or the cut (`shorts`,
    # `trousers`, `skirt`) of a bottom
    detail: str
    open_front: bool = False  # outwear


GARMENT_TYPES = {
    'short sleeve top': GarmentType('top', 'short'),
    'long sleeve top': GarmentType('top', 'long'),
    'short sleeve outwear': GarmentType('top', 'short', open_front=True),
    'long sleeve outwear': GarmentType('top', 'long', open_front=True),
    'vest': GarmentType('top', 'none'),
    'sling': GarmentType('top', 'straps'),
    'shorts': GarmentType('bottom', 'shorts'),
    'trousers': GarmentType('bottom', 'trousers'),
    'skirt': GarmentType('bottom', 'skirt'),
    'short sleeve dress': GarmentType('dress', 'short'),
    'long sleeve dress': GarmentType('dress', 'long'),
    'vest dress': GarmentType('dress', 'none'),
    'sling dress': GarmentType('dress', 'straps'),
}


@dataclass(frozen=True)
class Pose:
    """Joint angles in radians, and the build of the body."""

    # (shoulder, elbow) for the left and the right arm; the shoulder angle is measured
    # outwards from hanging down, the elbow angle adds to it
    arms: tuple[tuple[float, float], tuple[float, float]]
    legs: tuple[float, float]  # outward angle of the left and the right leg
    shoulder: float = 0.37  # half the width of the shoulders
    hip: float = 0.33  # half the width of the hip

    def arm(self, side: int) -> Points:
        """Shoulder, elbow and wrist; side is -1 (left) or +1 (right)."""
        upper, bend = self.arms[side > 0]
        shoulder = np.array([self.shoulder - 0.05, 0.15])
        elbow = shoulder + 0.5 * np.array([np.sin(upper), np.cos(upper)])
        wrist = elbow + 0.48 * np.array([np.sin(upper + bend), np.cos(upper + bend)])
        return np.stack([shoulder, elbow, wrist]) * (side, 1)

    def leg(self, side: int) -> Points:
        """Hip joint, knee and ankle; side is -1 (left) or +1 (right)."""
        angle = self.legs[side > 0]
        step = np.array([np.sin(angle), np.cos(angle)])
        hip = np.array([self.hip * 0.52, 1.02])
        return np.stack([hip, hip + 0.75 * step, hip + 1.5 * step]) * (side, 1)


@dataclass
class Garment:
    """One garment's shapes; painted in the order of the fields."""

    fabric: list[Points]  # polygons whose union is the cloth
    # polygons of what shows through an open front
    inner: list[Points] = field(default_factory=list)
    trim: list[Points] = field(default_factory=list)  # polygons: lapels, waistband, belt
    folds: list[Points] = field(default_factory=list)  # polylines along which the cloth is shaded
    seams: list[Points] = field(default_factory=list)  # polylines drawn as thin dark lines
    buttons: list[tuple[float, float]] = field(default_factory=list)  # points

    def points(self) -> Points:
        """All points of the silhouette, for its extent."""
        return np.concatenate(self.fabric + self.inner + self.trim)


def smooth(polygon: Points, rounds: int = 2) -> Points:
    """Round the corners of a closed polygon (Chaikin's corner cutting)."""
    for _ in range(rounds):
        after = np.roll(polygon, -1, axis=0)
        polygon = np.stack([0.75 * polygon + 0.25 * after, 0.25 * polygon + 0.75 * after], 1)
        polygon = polygon.reshape(-1, 2)
    return polygon


def mirrored(right: list[tuple[float, float]]) -> Points:
    """Close the right half of an outline, given from top to bottom, with its mirror image."""
    half = np.array(right, dtype=float)
    return np.concatenate([half, half[::-1] * (-1, 1)])


def limb(path: Points, half_widths: tuple[float, ...]) -> Points:
    """A tapering strip around a polyline: an arm, a sleeve, a leg, a strap."""
    direction = np.gradient(path, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal = direction[:, ::-1] * (-1, 1) * np.array(half_widths)[:, None]
    return np.concatenate([path + normal, (path - normal)[::-1]])


def along(path: Points, fraction: float) -> Points:
    """The first part of a polyline, up to a fraction of its length."""
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    ends = np.cumsum(lengths)
    stop = fraction * ends[-1]
    last = int(np.searchsorted(ends, stop - 1e-9))
    rest = (stop - (ends[last] - lengths[last])) / lengths[last]
    return np.concatenate([path[: last + 1], [path[last] + rest * (path[last + 1] - path[last])]])


def neckline(rng: np.random.Generator, half_width: float) -> list[tuple[float, float]]:
    """Right half of a round or V-shaped neckline, from the middle to the shoulder."""
    depth = rng.uniform(0.10, 0.24)
    power = rng.choice([1.0, 2.0, 2.0])
    return [(half_width * t, depth * (1 - t**power)) for t in (0.0, 0.4, 0.8, 1.0)]


def upper_outline(detail: str, pose: Pose, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Right half of a torso from the middle of the neckline to the armpit."""
    if detail == 'straps':
        dip = rng.uniform(0.0, 0.08)
        return [(0.0, 0.30 + dip), (0.12, 0.29), (0.17, 0.27), (0.22, 0.30), (0.29, 0.40)]
    if detail == 'none':
        edge = pose.shoulder - 0.06
        return [*neckline(rng, 0.15), (edge, 0.07), (edge - 0.06, 0.22), (0.29, 0.42)]
    return [*neckline(rng, 0.14), (pose.shoulder - 0.02, 0.08), (0.31, 0.42)]


def sleeves(detail: str, pose: Pose, rng: np.random.Generator, *, width: float) -> list[Points]:
    """What hangs from the shoulders: two sleeves, two straps, or nothing."""
    if detail == 'none':
        return []
    if detail == 'straps':
        strap = limb(np.array([[0.17, 0.30], [0.185, 0.15], [0.16, 0.0]]), (0.03, 0.025, 0.025))
        return [strap, strap * (-1, 1)]
    cut = rng.uniform(0.36, 0.46) if detail == 'short' else rng.uniform(0.93, 0.99)
    pieces = []
    for side in (-1, 1):
        inside = np.array([[side * (pose.shoulder - 0.16), 0.17]])  # no corner at the shoulder
        path = np.concatenate([inside, along(pose.arm(side), cut)])
        taper = np.linspace(width, width * (1.0 if detail == 'short' else 0.72), len(path))
        pieces.append(limb(path, tuple(taper)))
    return pieces


def fold_lines(
    rng: np.random.Generator,
    top: float,
    bottom: float,
    half_width: float,
    count: int,
    flare: float = 1.0,
) -> list[Points]:
    """Slightly slanted lines from top to bottom, spread over the width."""
    lines = []
    for start in rng.uniform(-0.85, 0.85, count) * half_width:
        end = start * flare + rng.uniform(-0.03, 0.03)
        lines.append(np.array([[start, top + rng.uniform(0, 0.1)], [end, bottom]]))
    return lines


def make_top(kind: GarmentType, pose: Pose, rng: np.random.Generator, hem: float | None) -> Garment:
    """A top that ends at `hem` (or where it likes)."""
    if hem is None:
        hem = rng.uniform(0.95, 1.3) if kind.open_front else rng.uniform(0.85, 1.06)
    loose = 0.03 if kind.open_front else rng.uniform(-0.02, 0.03)
    hem_width = np.interp(hem, [0.6, 1.0, 1.4], [0.26, pose.hip - 0.02, pose.hip + 0.04]) + loose
    lower = [(0.265 + loose, 0.66), (hem_width, hem - 0.04), (hem_width, hem), (0.0, hem)]
    outline = [*upper_outline(kind.detail, pose, rng), *lower]
    arms = sleeves(kind.detail, pose, rng, width=0.14 if kind.open_front else 0.125)
    garment = Garment([smooth(mirrored(outline)), *arms])
    garment.folds = fold_lines(rng, 0.5, hem, 0.28, 3)
    if kind.detail in ('short', 'long'):
        edge = pose.shoulder - 0.04
        garment.seams = [np.array([[edge, 0.08], [0.29, 0.42]]) * (side, 1) for side in (-1, 1)]
    if kind.open_front:
        open_coat(garment, rng, hem)
    elif rng.random() < 0.3:
        garment.trim.append(smooth(mirrored([(0.0, 0.42), (0.11, 0.42), (0.11, 0.6), (0.0, 0.6)])))
    return garment


def open_coat(garment: Garment, rng: np.random.Generator, hem: float) -> None:
    """Cut the front open: an inner layer between two edges, lapels, buttons."""
    upper, lower = rng.uniform(0.07, 0.10), rng.uniform(0.09, 0.16)
    garment.inner.append(mirrored([(0.0, 0.06), (0.11, -0.01), (upper, 0.45), (lower, hem)]))
    edge = [(0.11, -0.03), (0.19, 0.02), (0.25, 0.2), (0.19, 0.22)]
    lapel = np.array([*edge, (upper, 0.55), (upper - 0.02, 0.42)])
    garment.trim += [lapel, lapel * (-1, 1)]
    for side in (-1, 1):
        garment.seams.append(np.array([[side * upper, 0.45], [side * lower, hem]]))
    garment.buttons = [(lower + 0.04, y) for y in (0.6, 0.74, 0.88) if y < hem]


def make_bottom(kind: GarmentType, pose: Pose, rng: np.random.Generator) -> Garment:
    """Shorts, trousers or a skirt."""
    waist = 0.27
    if kind.detail == 'skirt':
        length, flare = rng.uniform(1.4, 2.0), rng.uniform(0.42, 0.6)
        garment = Garment([flared((waist, WAIST), pose.hip + 0.02, length, flare)])
        garment.folds = fold_lines(rng, WAIST + 0.1, length, waist, 5, flare / waist)
    else:
        pelvis = mirrored([(waist, WAIST), (pose.hip, 1.0), (pose.hip, 1.1), (0.03, CROTCH)])
        short = kind.detail == 'shorts'
        cut = rng.uniform(0.2, 0.34) if short else rng.uniform(0.86, 0.98)
        end = rng.uniform(0.15, 0.175) if short else rng.uniform(0.09, 0.15)
        garment = Garment([pelvis])
        garment.seams = [np.array([[0, WAIST], [0, CROTCH]])]
        for side in (-1, 1):
            path = along(pose.leg(side), cut)
            garment.fabric.append(limb(path, tuple(np.linspace(0.16, end, len(path)))))
            garment.folds.append(path + (0.02 * side, 0.1))
            pocket = np.array([[0.14, WAIST + 0.04], [0.29, WAIST + 0.16]])
            garment.seams.append(pocket * (side, 1))
    garment.trim.append(mirrored([(waist, WAIST - 0.01), (waist + 0.015, WAIST + 0.06)]))
    return garment


def flared(start: tuple[float, float], hip: float, length: float, flare: float) -> Points:
    """One piece from the waist to a curved hem."""
    hem = [(flare * t, length + 0.07 * (1 - t * t)) for t in (1.0, 0.7, 0.35, 0.0)]
    at_hip = max(hip, start[0] + (flare - start[0]) * (1.0 - start[1]) / (length - start[1]))
    return mirrored([start, (at_hip, 1.0), *hem])


def make_dress(kind: GarmentType, pose: Pose, rng: np.random.Generator) -> Garment:
    """A top that runs on into a skirt of the same cloth."""
    length, flare = rng.uniform(1.5, 2.1), rng.uniform(0.45, 0.68)
    waist = 0.25
    torso = smooth(
        mirrored([*upper_outline(kind.detail, pose, rng), (waist, 0.66), (waist, 0.8), (0.0, 0.8)])
    )
    skirt = flared((waist, 0.66), pose.hip, length, flare)
    garment = Garment([torso, skirt, *sleeves(kind.detail, pose, rng, width=0.12)])
    garment.folds = fold_lines(rng, 0.75, length, waist, 5, flare / waist)
    if rng.random() < 0.5:
        garment.trim.append(mirrored([(waist + 0.005, 0.63), (waist + 0.005, 0.7)]))
    else:
        garment.seams = [np.array([[-waist, 0.66], [waist, 0.66]])]
    return garment


def make_garment(
    name: str, pose: Pose, rng: np.random.Generator, *, hem: float | None = None
) -> Garment:
    """The shapes of one garment, by its name in :data:`GARMENT_TYPES`.

    Sleeves and trouser legs follow the pose. `hem` is where a top ends; by default anywhere about
    the hip.
    """
    kind = GARMENT_TYPES[name]
    if kind.silhouette == 'top':
        return make_top(kind, pose, rng, hem)
    return (make_bottom if kind.silhouette == 'bottom' else make_dress)(kind, pose, rng)


def ellipse(x: float, y: float, half_width: float, half_height: float) -> Points:
    """A polygon with the shape of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([x + half_width * np.cos(angle), y + half_height * np.sin(angle)], axis=1)


def make_body(pose: Pose, *, upper: bool, lower: bool) -> dict[str, list[Points]]:
    """Polygons of hair, skin and shoes; of the upper or lower half as a display figure has it."""
    hair, skin, shoes = [], [], []
    if upper:
        torso = [(0.09, 0.0), (pose.shoulder - 0.03, 0.1), (0.27, 0.42), (0.235, 0.68), (0.28, 0.9)]
        skin += [
            smooth(mirrored(torso)),
            ellipse(0, -0.27, 0.13, 0.17),
            limb(np.array([[0, -0.2], [0, 0.1]]), (0.075, 0.085)),
        ]
        hair += [ellipse(0, -0.31, 0.16, 0.18)]
        for side in (-1, 1):
            arm = pose.arm(side)
            skin += [limb(arm, (0.085, 0.065, 0.045)), ellipse(*arm[2], 0.06, 0.06)]
    if lower:
        skin.append(mirrored([(0.24, WAIST), (pose.hip - 0.03, 1.0), (0.03, 1.12)]))
        for side in (-1, 1):
            leg = pose.leg(side)
            skin.append(limb(leg, (0.135, 0.095, 0.055)))
            x, y = leg[2]
            shoes.append(ellipse(x + 0.04 * side, y + 0.03, 0.1, 0.06))
    return {'hair': hair, 'skin': skin, 'shoes': shoes}
