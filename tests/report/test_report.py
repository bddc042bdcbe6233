"""The package as a whole."""

import pkgutil
import subprocess
import sys

from mmdet_multigrain import report, visualization


def test_works_without_torch_and_mmdet():
    names = [
        module.name
        for package in (report, visualization)
        for module in pkgutil.walk_packages(package.__path__, f'{package.__name__}.')
        if module.name != 'mmdet_multigrain.visualization.visualizer'  # subclasses MMDetection's
    ]
    assert 'mmdet_multigrain.visualization.style' in names
    assert 'mmdet_multigrain.report.runs.tables' in names
    code = (
        f'import sys, {", ".join(names)}\n'
        'sys.exit(bool({"torch", "mmcv", "mmengine", "mmdet"} & set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
