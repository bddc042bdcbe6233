"""The files that other tools read about the project: model index, citation."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

import mmdet_multigrain

ROOT = Path(__file__).resolve().parents[1]


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text())


MODELS = [
    model for metafile in load('model-index.yml')['Import'] for model in load(metafile)['Models']
]


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['Name'])
def test_each_model_has_a_config_that_loads(model):
    path = ROOT / model['Config']
    cfg = Config.fromfile(path)
    assert model['Name'] == path.stem
    assert cfg.max_iters == model['Metadata']['Iterations']


def test_every_config_for_a_public_data_set_is_listed():
    published = {path.stem for path in ROOT.glob('configs/multigrain/*_r101_fpn_*.py')}
    assert {model['Name'] for model in MODELS} == published


def test_models_belong_to_the_collection():
    names = {
        collection['Name'] for collection in load('configs/multigrain/metafile.yml')['Collections']
    }
    assert {model['In Collection'] for model in MODELS} == names


def test_results_stand_only_where_weights_are():
    for model in MODELS:
        assert ('Results' in model) == ('Weights' in model)


def test_citation_has_the_packages_version():
    citation = load('CITATION.cff')
    assert citation['version'] == mmdet_multigrain.__version__
    assert '2101.06770' in citation['preferred-citation']['url']
