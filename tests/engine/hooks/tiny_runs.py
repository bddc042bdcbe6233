"""A tiny detector with data and metric, and changed copies of its checkpoint."""

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn

from mmdet_multigrain.datasets import taxonomy_metainfo
from mmdet_multigrain.taxonomy import Taxonomy

CLASSES = ('shirt', 'vest', 'skirt')
TAXONOMY = Taxonomy('garments', CLASSES, aliases={'vest': ['tank top']})


class Tiny(BaseModel):
    """Two layers under the names of a detector."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        self.roi_head = nn.Module()
        self.roi_head.fc_cls = nn.Linear(4, num_classes + 1)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        scores = self.roi_head.fc_cls(self.backbone(inputs))
        return dict(loss=scores.square().mean()) if mode == 'loss' else [scores]


class Data:
    """Six inputs of a data set with the classes of a taxonomy."""

    def __init__(self, taxonomy):
        self.metainfo = taxonomy_metainfo(taxonomy)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([index, 1.0]))


class Count(BaseMetric):
    """A metric that needs no ground truth."""

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        return dict(count=len(results))


def changed(path, change, name='changed.pth'):
    """Path of a changed copy of a checkpoint."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint = change(checkpoint) or checkpoint
    path = path.replace('iter_2.pth', name)
    torch.save(checkpoint, path)
    return path


def report_of(runner):
    return next(message for message in runner.messages if message.startswith('Checkpoint gives'))


def unmatched(checkpoint):
    state = checkpoint['state_dict']
    checkpoint['state_dict'] = {f'student.{name}': value for name, value in state.items()}
