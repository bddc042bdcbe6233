"""Which files load as weights only, and that code in a file does not run."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
from collections import OrderedDict
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from torch import nn

from mmdet_multigrain.engine.checkpoint import weights_only as module
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.checkpoint.weights_only import only_weights, trust_checkpoints
from mmdet_multigrain.utils.errors import CheckpointError, UntrustedCheckpointError

from .payloads import PAYLOADS, Evaluate, LikeHistory, hide, save

SWITCHES = ('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD')


@pytest.fixture(params=['list', 'unpickler'], autouse=True)
def loader(request, monkeypatch):
    """Torch's loader with our list, and the one for torch before 2.6, which has no list."""
    if request.param == 'unpickler':
        monkeypatch.setattr(module, '_TAKES_NAMES', False)
    elif not module._TAKES_NAMES:
        pytest.skip('this torch has no list')


@pytest.fixture
def marker(tmp_path):
    """What a payload makes, if it runs."""
    return tmp_path / 'the code has run'


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('place', ['state_dict', 'optimizer', 'log_scalars'])
@pytest.mark.parametrize('kind', PAYLOADS)
def test_code_in_a_file_does_not_run(tmp_path, marker, kind, place, legacy):
    path = save(tmp_path / 'bad.pth', hide(PAYLOADS[kind](marker), place), legacy=legacy)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert not marker.exists()
    line = str(caught.value)
    asked_for = {'blocked module': 'posix.mkdir', 'builtin': 'eval', 'like a history': '__self__'}
    assert line.startswith(f'{path}: holds more than weights (') and '\n' not in line
    assert asked_for[kind] in line and caught.type is UntrustedCheckpointError


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize('kind', PAYLOADS)
def test_a_trusted_file_runs_its_code(tmp_path, marker, kind, legacy):
    """Also shows that the payloads work: else the test above would prove nothing."""
    path = save(tmp_path / 'bad.pth', hide(PAYLOADS[kind](marker), 'optimizer'), legacy=legacy)
    with trust_checkpoints(True):
        if kind == 'like a history':  # ends with an error after its deed
            with pytest.raises(CheckpointError, match='not a whole checkpoint'):
                read_checkpoint(path)
        else:
            assert torch.equal(read_checkpoint(path)['state_dict']['weight'], torch.zeros(1))
    assert marker.exists()


def test_the_list_of_mmengine_is_not_enough(tmp_path, marker):
    checkpoint = pytest.importorskip('mmengine.runner.checkpoint')
    if not hasattr(checkpoint, 'get_torch_safe_globals'):
        pytest.skip('this MMEngine has no list')
    path = save(tmp_path / 'bad.pth', LikeHistory(marker))
    with torch.serialization.safe_globals(checkpoint.get_torch_safe_globals()):
        with pytest.raises(AttributeError):
            torch.load(path, weights_only=True)
    assert marker.exists()


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_newer_pickle_protocols_need_trust(tmp_path, marker, protocol):
    path = tmp_path / 'new.pth'
    torch.save(hide(Evaluate(marker), 'optimizer'), path, pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match='holds more than weights'):
        read_checkpoint(path)
    assert not marker.exists()
    with trust_checkpoints(True):
        read_checkpoint(path)
    assert marker.exists()


def test_a_bare_pickle_and_a_script_are_refused(tmp_path, marker):
    bare = tmp_path / 'bare.pth'
    bare.write_bytes(pickle.dumps(Evaluate(marker), protocol=2))
    script = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), str(script))
    for path in (bare, script):
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(path)
        assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)
    assert not marker.exists()


def mmengine_checkpoint() -> dict:
    """What MMEngine saves: weights, optimizer, logged values, and values of hooks."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    hub = MessageHub('of a test')
    for value in (0.5, 0.25):
        hub.update_scalar('train/loss', value)
    hub.update_info('best_score', np.float64(0.5))
    hub.update_info('cfg', 'model = dict()')
    numpy_state = np.random.RandomState(0).get_state()
    return dict(
        meta=dict(
            cfg='x = 1',
            seed=0,
            time='20261124_000000',
            iter=2,
            epoch=0,
            dataset_meta=dict(classes=('a', 'b'), palette=[(0, 0, 0)]),
        ),
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        message_hub=hub.state_dict(),
        random=dict(
            python=random.Random(0).getstate(), numpy=numpy_state, torch=torch.get_rng_state()
        ),
        scalars=[np.dtype(code).type(1) for code in '?bhilqBHILQefd'],
        texts=np.array(['a', 'b']),
    )


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_what_mmengine_saves_loads(tmp_path, legacy):
    saved = mmengine_checkpoint()
    loaded = read_checkpoint(save(tmp_path / 'iter_2.pth', saved, legacy=legacy))
    assert torch.equal(loaded['state_dict']['weight'], saved['state_dict']['weight'])
    assert loaded['meta'] == saved['meta'] and loaded['scalars'] == saved['scalars']
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert history.statistics('mean') == 0.375 and history.statistics('current') == 0.25
    assert loaded['message_hub']['runtime_info']['best_score'] == 0.5
    assert loaded['random']['python'] == saved['random']['python']
    assert np.array_equal(loaded['random']['numpy'][1], saved['random']['numpy'][1])


@pytest.mark.parametrize('core', [b'numpy.core', b'numpy._core'], ids=['numpy 1', 'numpy 2'])
def test_files_of_other_numpy_load(tmp_path, core):
    """NumPy 2 renamed `numpy.core`; COCO weights of the model zoo are older."""
    content = dict(
        meta=dict(
            mmdet_version='2.0.0',
            CLASSES=('person',),
            time='Thu Jan 30 00:00:00 2020',
            hook_msgs=dict(best_score=np.float64(0.394)),
            ids=np.arange(3),
        ),
        state_dict=OrderedDict(weight=torch.ones(2)),
    )
    path = save(tmp_path / 'zoo.pth', content, legacy=True)
    raw = path.read_bytes()
    path.write_bytes(re.sub(rb'cnumpy\._?core\.multiarray\n', b'c%s.multiarray\n' % core, raw))
    assert b'c%s.multiarray\n' % core in path.read_bytes()
    loaded = read_checkpoint(path)
    assert loaded['meta']['hook_msgs']['best_score'] == 0.394
    assert loaded['meta']['ids'].tolist() == [0, 1, 2]
    assert torch.equal(loaded['state_dict']['weight'], torch.ones(2))


def test_numpy_1_26_loads(tmp_path, monkeypatch):
    """Its `numpy._core` holds nothing."""
    path = save(tmp_path / 'iter_2.pth', mmengine_checkpoint())
    monkeypatch.setattr(np, '_core', ModuleType('numpy._core'), raising=False)
    assert read_checkpoint(path)['message_hub']['runtime_info']['best_score'] == 0.5


def test_other_parts_load_as_weights_only_too(tmp_path, marker):
    """Some backbones of mmdet ask MMEngine for their weights themselves, without our classes."""
    path = save(tmp_path / 'bad.pth', LikeHistory(marker))
    for _ in range(20):  # which of two equally named functions torch takes depends on chance
        with trust_checkpoints(False), pytest.raises(pickle.UnpicklingError):
            CheckpointLoader.load_checkpoint(str(path))
    assert not marker.exists()


@pytest.mark.parametrize('before', [(None, None), ('0', None), (None, '1'), ('1', '0')])
@pytest.mark.parametrize('trust', [None, False, True])
def test_the_switches_are_set_within_and_restored(monkeypatch, before, trust):
    for name, value in zip(SWITCHES, before, strict=True):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)

    def switches():
        return tuple(map(os.environ.get, SWITCHES))

    inside = (None, '1') if trust else ('1', None)
    with only_weights() if trust is None else trust_checkpoints(trust):
        assert switches() == inside
        with only_weights():
            assert switches() == inside  # trusted further on
        assert switches() == inside
        with trust_checkpoints(not trust):
            assert switches() == ((None, '1') if inside[0] else ('1', None))
        assert switches() == inside
    assert switches() == before
    with pytest.raises(KeyError), only_weights():
        assert switches() == ('1', None)  # trust has ended with its block
        raise KeyError
    assert switches() == before


def test_stores_are_those_of_mmengine_where_files_are_trusted(monkeypatch):
    asked = []
    for name in ('local', 'openmmlab', 'pavi', 'ceph'):
        monkeypatch.setattr(
            f'mmengine.runner.checkpoint.load_from_{name}',
            lambda filename, map_location, name=name: asked.append((name, filename, map_location)),
        )
    addresses = ('~/a.pth', 'open-mmlab://mine', 'pavi://a', 's3://b/a', 'x:petrel://b/a')
    with trust_checkpoints(True):
        for address in addresses:
            CheckpointLoader.load_checkpoint(address, 'meta', logger='silent')
    kinds = ('local', 'openmmlab', 'pavi', 'ceph', 'ceph')
    assert asked == [(kind, *pair, 'meta') for kind, *pair in zip(kinds, addresses, strict=True)]


def test_a_file_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(dict(weight=torch.ones(1)), tmp_path / 'a.pth')
    assert read_checkpoint('~/a.pth')['weight'] == 1
    with pytest.raises(CheckpointError, match='~/gone.pth'):
        read_checkpoint('~/gone.pth')


def test_stores_that_cannot_be_read_as_weights_only(tmp_path, marker, monkeypatch):
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    save(tmp_path / 'bad.pth', LikeHistory(marker))
    (tmp_path / 'open_mmlab.json').write_text(json.dumps({'mine': 'bad.pth'}))
    for address, reason in (
        ('s3://x/bad.pth', 'only if checkpoints are trusted'),
        ('pavi://bad', 'only if checkpoints are trusted'),
        ('open-mmlab://mine', 'this name means bad.pth'),
    ):
        with pytest.raises(CheckpointError, match=reason):
            read_checkpoint(address)
    assert not marker.exists()


def test_a_history_names_only_its_own_statistics(tmp_path):
    class OtherMethod(HistoryBuffer):
        def __reduce__(self):
            return getattr, (HistoryBuffer, 'register_statistics')

    with pytest.raises(CheckpointError, match="attribute 'register_statistics' of HistoryBuffer"):
        read_checkpoint(save(tmp_path / 'x.pth', {'state_dict': {}, 'x': OtherMethod()}))


@pytest.mark.parametrize('set_before', [None, 0, 1])
def test_the_switches_of_torch_are_put_back(tmp_path, marker, monkeypatch, set_before):
    """Also those with which a user has turned weights-only loading off altogether."""
    for number, name in enumerate(SWITCHES):
        monkeypatch.delenv(name, raising=False)
        if number == set_before:
            monkeypatch.setenv(name, '1')
    listing = getattr(torch.serialization, 'get_safe_globals', list)  # torch 2.4
    before, listed = dict(os.environ), set(listing())
    path = save(tmp_path / 'bad.pth', Evaluate(marker))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert dict(os.environ) == before and not marker.exists()
    assert set(listing()) == listed


def test_within_the_block_no_call_of_torch_load_runs_code(tmp_path, marker):
    """Hooks and parts of other packages that load files on their own."""
    path = save(tmp_path / 'bad.pth', Evaluate(marker))
    with trust_checkpoints(False), pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=False)
    with only_weights(), pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint(str(path))
    assert not marker.exists()


def test_mmengine_alone_would_run_it(tmp_path, marker):
    """The fallback that the block closes; without one MMEngine refuses, which is fine too."""
    path = save(tmp_path / 'bad.pth', hide(Evaluate(marker), 'optimizer'))
    try:
        load_checkpoint(nn.Linear(1, 1), str(path))
    except pickle.UnpicklingError:
        pytest.skip('this MMEngine does not fall back')
    assert marker.exists()


@pytest.mark.parametrize('prefix', [None, 'backbone'])
def test_pretrained_weights_of_a_config(tmp_path, marker, prefix):
    from mmengine.model import BaseModule

    import mmdet_multigrain.engine  # noqa: F401 (registers it)

    class Part(BaseModule):
        def __init__(self, path):
            super().__init__(dict(type='Pretrained', checkpoint=str(path), prefix=prefix))
            self.weight = nn.Parameter(torch.zeros(2))

    key = f'{prefix}.weight' if prefix else 'weight'
    good = save(tmp_path / 'good.pth', {'state_dict': {key: torch.ones(2)}})
    part = Part(good)
    part.init_weights()
    assert torch.equal(part.weight.detach(), torch.ones(2))
    bad = save(tmp_path / 'bad.pth', {'state_dict': {key: torch.ones(2)}, 'x': Evaluate(marker)})
    with pytest.raises(CheckpointError, match=f'{bad}: holds more than weights'):
        Part(bad).init_weights()
    assert not marker.exists()


def test_downloads_are_loaded_as_weights_only(tmp_path, marker, monkeypatch):
    """As MMEngine keeps them: a file in torch's cache is not fetched again."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    cache = tmp_path / 'hub' / 'checkpoints'
    cache.mkdir(parents=True)
    names = {
        'https://localhost:1/bad.pth': 'bad.pth',
        'open-mmlab://resnext50_32x4d': 'resnext50-32x4d-0ab1a123.pth',
    }
    for url, name in names.items():
        for legacy in (False, True):
            save(cache / name, hide(Evaluate(marker), 'state_dict'), legacy=legacy)
            with pytest.raises(CheckpointError, match=f'{url}: holds more than weights'):
                read_checkpoint(url)
            assert not marker.exists()
