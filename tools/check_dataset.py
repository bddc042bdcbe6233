"""Check a COCO data set before training: python tools/check_dataset.py TRAIN.json [VAL.json]

With --images the photos are looked at too; with --fix a repaired copy is written. The checks are
in mmdet_multigrain/checks.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

try:
    from mmdet_multigrain import launch
    from mmdet_multigrain.checks import report
    from mmdet_multigrain.checks.dataset import Checked, check_files, load_files, load_photos
    from mmdet_multigrain.checks.fix import Fixed, repair
    from mmdet_multigrain.taxonomy import Taxonomy
    from mmdet_multigrain.utils.errors import CheckError
    from mmdet_multigrain.utils.files import dump_json, load_json, write_together, write_whole
except ImportError as error:
    raise SystemExit(f'error: {error}; fix: bash tools/setup.sh; . .venv/bin/activate') from None

EXIT_STATUS = """\
exit status:
  0  no errors (with --strict: no warnings either)
  1  errors (with --strict: or warnings); with --fix: in the repaired copy
  2  cannot check: no such file, not JSON, ...
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Check a COCO data set before training',
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('train', type=Path, help='COCO file')
    parser.add_argument(
        'val', type=Path, nargs='?', help='COCO file of the other split; both are compared'
    )
    parser.add_argument(
        '--also',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='more COCO files to train on with TRAIN, which may list other classes (put it last)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help="folder that 'file_name' is relative to; photos are looked at",
    )
    parser.add_argument(
        '--val-images',
        type=Path,
        metavar='DIR',
        help='the same for VAL (default: that of --images)',
    )
    parser.add_argument(
        '--no-images', action='store_true', help='do not look at photos, whatever --images says'
    )
    parser.add_argument(
        '--full-decode',
        action='store_true',
        help='decode all photos to their end, which finds truncated ones (slow)',
    )
    parser.add_argument(
        '--taxonomy',
        metavar='NAME|FILE',
        help='built-in name, YAML or COCO file (default: the supercategories of TRAIN and --also)',
    )
    parser.add_argument(
        '--config',
        type=Path,
        metavar='CONFIG.py',
        help='tell which boxes of TRAIN get no positive anchor with this config',
    )
    parser.add_argument('--json', type=Path, metavar='REPORT.json', help='write the report as JSON')
    parser.add_argument(
        '--fix',
        type=Path,
        metavar='OUT',
        help='write a repaired copy: a file, or for two splits a folder with '
        'train.json and val.json; the input is never touched',
    )
    parser.add_argument(
        '--examples',
        type=launch.whole_number(0),
        default=3,
        metavar='N',
        help='of each finding (default: %(default)s)',
    )
    parser.add_argument('--strict', action='store_true', help='warnings count as errors')
    parser.add_argument(
        '--workers',
        type=launch.whole_number(1),
        metavar='N',
        help='processes that read photos (default: one for each core)',
    )
    launch.add_force(parser)
    args = parser.parse_args()
    if args.full_decode and (args.no_images or not args.images):
        parser.error('--full-decode needs --images DIR')
    if args.fix and args.also:
        parser.error('--fix repairs TRAIN and VAL; repair the files of --also one by one')
    if args.val_images and not (args.val and args.images):
        parser.error('--val-images needs VAL.json and --images DIR')
    return args


def main() -> None:
    args = parse_args()
    launch.escape_unknown_letters()
    inputs = [path for path in (args.train, args.val) if path]
    outputs = fixed_paths(args.fix, inputs) if args.fix else []
    read = *inputs, *args.also, args.taxonomy, args.config
    launch.check_outputs([*outputs, args.json], inputs=read, replace=True)
    launch.check_outputs(outputs, replace=args.force)
    if args.json and not is_report(args.json, [args.train, *args.also, *inputs[1:]]):
        launch.check_outputs([args.json], replace=args.force)
    taxonomy = Taxonomy.load(args.taxonomy) if args.taxonomy else None
    files = load_files(inputs, also=args.also, max_examples=args.examples)
    if args.images and not args.no_images:
        options = dict(workers=args.workers, full_decode=args.full_decode, progress=True)
        for data in files:
            folder = args.val_images if data.split == 'val' else None
            data.photos = load_photos(data, folder or args.images, **options)
    checked = check_files(files, taxonomy, progress=True)
    print(report.as_text(checked))
    summary = report.as_dict(checked)
    if args.config:
        coverage = launch.anchors_with(args.config, args.train, args.taxonomy)
        print(f'\n{coverage.text()}')
        summary['anchors'] = coverage.to_dict()
    if args.fix:
        repaired = write_repaired(checked, outputs)
        checked = check_again(checked, outputs, taxonomy)
        print(f'\n{report.left_text(checked, repaired)}')
        left = report.as_dict(checked)
        summary['repaired'] = {
            'files': [report.fixed_dict(*pair) for pair in zip(outputs, repaired, strict=True)],
            'verdict': left['verdict'],
            'findings': left['findings'],
        }
    if args.json:
        write_whole(args.json, dump_json(summary) + b'\n')
    worst = report.verdict(checked)
    sys.exit(worst == 'errors' or args.strict and worst == 'warnings')


def fixed_paths(out: Path, inputs: list[Path]) -> list[Path]:
    """Where the repaired copies go: OUT, or two files in it."""
    if len(inputs) > 1:
        if out.exists() and not out.is_dir():
            raise CheckError(f'--fix {out}: a file; for two splits name a folder')
        return [out / 'train.json', out / 'val.json']
    if out.is_dir():
        raise CheckError(f'--fix {out}: a folder; for one split name a file')
    return [out]


def is_report(path: Path, inputs: list[Path]) -> bool:
    """Whether a file is the report of an earlier check of the same files."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        files = [entry['file'] for entry in load_json(path)['files']]
        return len(files) == len(inputs) and all(map(launch.same_path, files, inputs))
    return False


def write_repaired(checked: Checked, outputs: list[Path]) -> list[Fixed]:
    """Write the repaired copies, all or none, and tell what was fixed."""
    repaired = [repair(data) for data in checked.files]
    copies = dict(zip(outputs, repaired, strict=True))
    write_together((path, fixed.encoded()) for path, fixed in copies.items())
    for path, fixed in copies.items():
        print(f'\n{report.fixed_text(path, fixed)}')
    return repaired


def check_again(checked: Checked, outputs: list[Path], taxonomy: Taxonomy | None) -> Checked:
    """Check the repaired copies, as they were written."""
    files = load_files(outputs)
    for data, original in zip(files, checked.files, strict=True):
        data.photos = original.photos
    return check_files(files, taxonomy)


if __name__ == '__main__':
    launch.run_tool(main)
