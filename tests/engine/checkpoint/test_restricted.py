"""What the unpickler for torch before 2.6 loads and refuses, next to torch's own."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn, serialization

from mmdet_multigrain.engine.checkpoint import weights_only as module
from mmdet_multigrain.engine.checkpoint.read import read_checkpoint
from mmdet_multigrain.engine.checkpoint.restricted import RestrictedUnpickler
from mmdet_multigrain.utils.errors import CheckpointError, UntrustedCheckpointError

from .payloads import save


@pytest.fixture(autouse=True)
def old_torch(monkeypatch):
    monkeypatch.setattr(module, '_TAKES_NAMES', False)


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_what_state_dicts_hold_loads(tmp_path, legacy):
    layer = nn.Linear(2, 1)
    content = OrderedDict(
        state_dict=layer.state_dict(),  # has an attribute of its own
        parameter=nn.Parameter(torch.ones(2), requires_grad=False),
        half=torch.ones(2, dtype=torch.bfloat16),
        shared=[layer.weight.data, layer.weight.data[:, :1]],
        plain=[
            None,
            True,
            -1,
            2**40,
            2**80,
            1.5,
            'ä',
            b'ab',
            (1,),
            (1, 2, 3, 4),
            {'a': [1]},
            {1},
            1j,
        ],
        others=[
            torch.float16,
            torch.device('cpu'),
            torch.Size([1]),
            Counter('aab'),
            bytearray(b'c'),
        ],
        sparse=torch.eye(2).to_sparse(),
        array=np.arange(3.0),
        scalar=np.float32(0.5),
        history=HistoryBuffer([1, 2], [1, 1]),
    )
    loaded = read_checkpoint(save(tmp_path / 'x.pth', content, legacy=legacy))
    assert list(loaded) == list(content)
    assert loaded['state_dict']._metadata == content['state_dict']._metadata
    assert torch.equal(loaded['state_dict']['weight'], layer.weight)
    assert isinstance(loaded['parameter'], nn.Parameter) and not loaded['parameter'].requires_grad
    assert torch.equal(loaded['half'], content['half']) and loaded['half'].dtype is torch.bfloat16
    whole, part = loaded['shared']
    assert whole.data_ptr() == part.data_ptr() and torch.equal(part, whole[:, :1])
    assert loaded['plain'] == content['plain'] and loaded['others'] == content['others']
    assert torch.equal(loaded['sparse'].to_dense(), torch.eye(2))
    assert loaded['array'].tolist() == [0, 1, 2] and loaded['scalar'] == np.float32(0.5)
    assert loaded['history'].mean() == 1.5


def pickled(*parts: bytes) -> bytes:
    return pickle.PROTO + b'\x02' + b''.join(parts) + pickle.STOP


def name(path: str) -> bytes:
    module, _, last = path.rpartition('.')
    return pickle.GLOBAL + f'{module}\n{last}\n'.encode()


TUPLE = pickle.EMPTY_TUPLE


class Listed(RestrictedUnpickler):
    names = {'torch.Size': torch.Size, 'torch.Tensor': torch.Tensor, 'x.len': len, 'x.set': set}


def load(content: bytes) -> object:
    return Listed(io.BytesIO(content)).load()


@pytest.mark.parametrize(
    ('content', 'asked_for'),
    [
        (pickled(name('os.system')), 'os.system'),
        (pickled(name('__builtin__.eval')), 'builtins.eval'),  # as Python 2 calls it
        (pickled(name('torch.Size.fromkeys')), 'torch.Size.fromkeys'),
        # Things that are not on the list, reached from others.
        (pickled(name('torch.Size'), TUPLE, pickle.REDUCE, TUPLE, pickle.REDUCE), 'Size'),
        (pickled(pickle.NONE, TUPLE, pickle.REDUCE), 'NoneType'),
        (pickled(name('x.len'), TUPLE, pickle.NEWOBJ), 'len'),
        (pickled(pickle.EMPTY_DICT, TUPLE, pickle.NEWOBJ), 'dict'),
        # State of classes, functions and tensors.
        (pickled(name('x.set'), pickle.EMPTY_DICT, pickle.BUILD), 'type'),
        (pickled(name('x.len'), pickle.EMPTY_DICT, pickle.BUILD), 'builtin_function_or_method'),
        (pickled(name('torch.Tensor'), TUPLE, pickle.REDUCE, TUPLE, pickle.BUILD), 'Tensor'),
        # Items of anything that only looks like a list or a dict.
        (pickled(name('x.set'), pickle.NONE, pickle.APPEND), 'items in type'),
        (pickled(pickle.EMPTY_SET, pickle.MARK, pickle.NONE, pickle.APPENDS), 'items in set'),
        (
            pickled(pickle.EMPTY_LIST, pickle.BININT1, b'\0', pickle.NONE, pickle.SETITEM),
            'items in list',
        ),
        (pickled(name('x.set'), pickle.MARK, pickle.SETITEMS), 'items in type'),
        (
            pickled(pickle.BINUNICODE, b'\6\0\0\0module', pickle.TUPLE1, pickle.BINPERSID),
            'a part that',
        ),
        (pickled(pickle.BININT1, b'\0', pickle.BINPERSID), 'a part that'),
    ],
)
def test_what_is_refused(content, asked_for):
    with pytest.raises(pickle.UnpicklingError, match=f'^the file asks for {asked_for}'):
        load(content)


ALLOWED = (
    'PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE BINPERSID '
    'SHORT_BINSTRING TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET APPEND '
    'APPENDS SETITEM SETITEMS BINGET LONG_BINGET BINPUT LONG_BINPUT GLOBAL REDUCE NEWOBJ BUILD'
).split()


def test_the_instructions_are_those_of_torch():
    """Of torch 2.13; all other bytes are refused."""
    codes = {getattr(pickle, word)[0] for word in ALLOWED}
    for code in set(range(256)) - codes:
        with pytest.raises(pickle.UnpicklingError, match=f'^unsupported operand {code}$'):
            load(bytes([code]))
    assert set(Listed.dispatch) == codes


def test_scripts_and_tar_files_are_refused(tmp_path):
    """Torch before 2.6 passes them on although it is asked for weights only."""
    script = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), str(script))
    with pytest.raises(UntrustedCheckpointError, match='TorchScript'):
        read_checkpoint(script)
    packed = tmp_path / 'tar.pth'
    with tarfile.open(packed, 'w') as tar:
        for part in ('storages', 'tensors', 'pickle'):
            content = pickle.dumps(0, protocol=2)
            entry = tarfile.TarInfo(part)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with pytest.raises(CheckpointError, match='not a whole checkpoint'):
        read_checkpoint(packed)


def test_torch_is_left_as_it_was(tmp_path):
    names = ('_weights_only_unpickler', '_is_torchscript_zip', '_should_read_directly')
    before = [getattr(serialization, name) for name in names]
    path = save(tmp_path / 'x.pth', {'x': os.mkdir})
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    with module.only_weights():
        assert serialization._weights_only_unpickler is not before[0]
    with module.trust_checkpoints(True):
        assert [getattr(serialization, name) for name in names] == before
    assert [getattr(serialization, name) for name in names] == before
