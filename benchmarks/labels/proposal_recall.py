"""Recall of the RPN for classes without boxes: a set cut into two files, against all of its boxes.

python -m benchmarks.labels.proposal_recall --data FOLDER --work-dir FOLDER --out FILE

The classes of FOLDER/train.json, by falling number of boxes, go to two files in turns. One file has
the first half of the photos with the boxes of its classes, the other the rest. Trained are
`full`: the photos with all their boxes; `annotated`: the two files, which say what they annotate;
`background`: the two files, as if they annotated everything. Measured is the share of boxes that one
of the 100 best proposals overlaps by 0.5: of all validation boxes, and of those that the two files
leave out. What is done is in the work folder, and not repeated; arms and seeds may be shared out to
several processes, after which the same command makes the table of all.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.common.arguments import list_of, make_parser, positive
from benchmarks.common.records import write_figures
from benchmarks.common.tables import text_table
from mmdet_multigrain.launch import add_cfg_options, add_speed, load_config, quiet_imports, run_tool
from mmdet_multigrain.utils.errors import ConfigError
from mmdet_multigrain.utils.files import dump_json, load_json, write_whole

with quiet_imports():
    import torch
    from mmdet.registry import DATASETS
    from mmdet.structures.bbox import bbox_overlaps
    from mmengine.dataset import pseudo_collate

    from mmdet_multigrain.engine import MultigrainRunner

ARMS = ('full', 'annotated', 'background')
CONFIG = 'configs/multigrain/wgroup_lite0_fpn_custom.py'
PROPOSALS, MIN_IOU = 100, 0.5
_DATASET = """
_base_ = {base!r}
part = dict(
    type='SuperclassCocoDataset',
    taxonomy=None,
    data_root=None,
    data_prefix=dict(img=None),
    filter_cfg=dict(filter_empty_gt=None, min_size=32),
    pipeline=None,
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(part, **each) for each in {parts!r}],
    )
)
taxonomy = {taxonomy!r}
model = {model!r}
val_cfg = val_dataloader = val_evaluator = None
"""
_FEDERATED = dict(
    rpn_head=dict(type='Float32RPNHead', unannotated_thr=0.5),
    roi_head=dict(type='FederatedStandardRoIHead'),
)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--data', type=Path, required=True, help='folder with train.json, val.json and photos/')
    add('--work-dir', type=Path, required=True, help='for the files and the runs')
    add('--out', type=Path, help='JSON file for the figures')
    add('--config', default=CONFIG, help='what is trained')
    add('--arms', type=list_of(ARMS), default=ARMS, help='what is trained on')
    add('--seeds', type=int, nargs='+', default=[0], help='of the runs')
    add('--photos', type=positive, default=10**6, help='photos to measure on, at most')
    add_speed(parser)
    add_cfg_options(parser)
    return parser.parse_args()


def two_files(content: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The two halves of a COCO file, and the names of the classes that each annotates."""
    boxes = Counter(item['category_id'] for item in content['annotations'])
    by_size = sorted(content['categories'], key=lambda category: -boxes[category['id']])
    half = len(content['images']) // 2
    for number, images in enumerate((content['images'][:half], content['images'][half:])):
        categories = by_size[number::2]
        kept = {image['id'] for image in images}, {category['id'] for category in categories}
        annotations = [
            item
            for item in content['annotations']
            if item['image_id'] in kept[0] and item['category_id'] in kept[1]
        ]
        part = dict(content, images=images, annotations=annotations, categories=categories)
        yield part, [category['name'] for category in categories]


def train(arm: str, seed: int, folder: Path, args: argparse.Namespace) -> torch.nn.Module:
    """The trained model of an arm; its files go to a folder."""
    for name in ('train.json', 'val.json'):
        load_json(args.data / name)  # refused before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    full = args.data / 'train.json'
    parts = [dict(ann_file=str(full.resolve()))]
    if arm != 'full':
        parts = []
        for number, (part, names) in enumerate(two_files(json.loads(full.read_bytes()))):
            path = (folder / f'half{number}.json').resolve()
            path.write_text(json.dumps(part))
            says = dict(annotated=names) if arm == 'annotated' else dict(allow_missing=True)
            parts.append(dict(ann_file=str(path), **says))
    config = folder / f'{arm}.py'
    config.write_text(
        _DATASET.format(
            base=str(Path(args.config).resolve()),
            parts=parts,
            taxonomy=str(full.resolve()),
            model=_FEDERATED if arm == 'annotated' else {},
        )
    )
    options = dict(data_root=str(args.data), work_dir=str(folder))
    cfg = load_config(config, {**options, **(args.cfg_options or {})}, speed=args.speed)
    cfg.randomness = dict(seed=seed)
    runner = MultigrainRunner.from_cfg(cfg)
    runner.train()
    return runner.model.eval()


@torch.no_grad()
def hits(model: torch.nn.Module, dataset: Any, photos: int) -> Iterator[tuple[int, int, bool]]:
    """Image id and label of each box of a data set, and whether a proposal overlaps it."""
    model.rpn_head.test_cfg.max_per_img = PROPOSALS
    for index in range(min(photos, len(dataset))):
        batch = model.data_preprocessor(pseudo_collate([dataset[index]]), training=False)
        features = model.extract_feat(batch['inputs'])
        (found,) = model.rpn_head.predict(features, batch['data_samples'], rescale=True)
        info = dataset.get_data_info(index)
        items = [item for item in info['instances'] if not item['ignore_flag']]
        if items:
            boxes = torch.tensor([item['bbox'] for item in items])
            best = bbox_overlaps(boxes, found.bboxes.cpu()).amax(1).tolist()
            for item, overlap in zip(items, best, strict=True):
                yield info['img_id'], item['bbox_label'], overlap >= MIN_IOU


def recalls(model: torch.nn.Module, args: argparse.Namespace) -> dict[str, float]:
    """Recall in percent: of validation boxes, and of training boxes that the two files leave out."""
    cfg = load_config(args.config, {'data_root': str(args.data), **(args.cfg_options or {})})
    val, train = (
        DATASETS.build(dict(cfg.val_dataloader.dataset, ann_file=f'{name}.json'))
        for name in ('val', 'train')
    )
    has_box = {
        (image['id'], val.metainfo['classes'].index(name))
        for part, names in two_files(json.loads((args.data / 'train.json').read_bytes()))
        for image in part['images']
        for name in names
    }
    of_val = [hit for *_, hit in hits(model, val, args.photos)]
    of_train = [hit for *box, hit in hits(model, train, args.photos) if (*box,) not in has_box]
    return {
        name: 100 * sum(rows) / len(rows)
        for name, rows in (('val', of_val), ('left_out', of_train))
    }


def summary(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Means of each arm over its seeds, and the shares of `full` with the same seed: mean (range)."""
    rows = []
    for arm, runs in found.items():
        cells: list[Any] = []
        for name in ('val', 'left_out'):
            cells.append(statistics.fmean(run[name] for run in runs.values()))
            shares = [
                run[name] / found['full'][seed][name]
                for seed, run in runs.items()
                if seed in found.get('full', {})
            ]
            text = (
                f'{statistics.fmean(shares):.2f} ({min(shares):.2f}-{max(shares):.2f})'
                if shares
                else '-'
            )
            cells.append(text)
        rows.append((arm, len(runs), *cells))
    columns = {'trained on': '', 'seeds': 'd', 'validation boxes, %': '.1f', 'of full': ''}
    columns |= {'left-out training boxes, %': '.1f', 'of full ': ''}
    return text_table(columns, rows)


def measured(arm: str, seed: int, args: argparse.Namespace, options: Any) -> dict[str, float]:
    """Recall of an arm and seed: what the work folder has of it, else of a training.

    Raises:
        ConfigError: The folder has that of other data or options.
    """
    folder = args.work_dir / f'{arm}-{seed}'
    done = folder / 'recall.json'
    if not done.exists():
        recall = recalls(train(arm, seed, folder, args), args)
        write_whole(done, dump_json(dict(options=options, recall=recall)))
    content = load_json(done)
    if content['options'] != json.loads(dump_json(options)):
        raise ConfigError(f'{done} is of other data or options; choose another --work-dir')
    return content['recall']


def main() -> None:
    args = parse_args()
    options = dict(config=args.config, speed=[*args.speed], cfg_options=args.cfg_options)
    options |= dict(data=str(args.data.resolve()), photos=args.photos)
    found: dict[str, dict[str, Any]] = {}
    for seed in args.seeds:
        for arm in args.arms:
            found.setdefault(arm, {})[str(seed)] = measured(arm, seed, args, options)
    print(summary(found))
    del options['data']  # a place of this machine
    write_figures(args.out, **options, recall=found)


if __name__ == '__main__':
    run_tool(main)
