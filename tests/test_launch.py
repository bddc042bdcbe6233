"""Start-up: configs that load or say in one line why not, options, processes, exit status."""

import argparse
import json
import os
import socket
import subprocess
import sys
import warnings
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmdet_multigrain import launch
from mmdet_multigrain.taxonomy import Taxonomy, TaxonomyError

HINT = 'MULTIGRAIN_TRACEBACK=1 shows where'


@pytest.fixture
def configs(repository):
    return repository / 'configs' / 'multigrain'


@pytest.fixture
def coco(tmp_path):
    """A folder with a space in its name and a COCO file of two groups."""
    folder = tmp_path / 'my data'
    folder.mkdir()
    for name in ('train.json', 'first.json'):
        (folder / name).write_text(json.dumps({
            'images': [], 'annotations': [],
            'categories': [
                {'id': 1, 'name': 'shirt', 'supercategory': 'top'},
                {'id': 2, 'name': 'vest', 'supercategory': 'top'},
                {'id': 3, 'name': 'skirt', 'supercategory': 'bottom'}]}))
    return folder


def fail_with(error):
    def main():
        raise error

    return main


def raised(error):
    """The error after it was raised here, as `run_tool` sees it."""
    try:
        raise error
    except type(error) as caught:
        return caught


def of_the_package():
    try:
        Taxonomy.load('deepfashion')
    except TaxonomyError as error:
        return error


# ---------------------------------------------------------------------- errors


def test_success_is_silent(capsys):
    launch.run_tool(lambda: None)
    assert capsys.readouterr() == ('', '')


def test_error_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(lambda: Taxonomy.load('deepfashion'))
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, '')
    assert err.startswith("error: taxonomy 'deepfashion' is neither built in")
    assert err.count('\n') == 1 and HINT not in err


def test_another_process_cannot_write_into_an_error(monkeypatch):
    pieces = []
    monkeypatch.setattr(sys, 'stderr', mock.Mock(write=pieces.append))
    with pytest.raises(SystemExit):
        launch.run_tool(fail_with(ValueError('x')))
    assert pieces == [f'error: ValueError: x ({HINT})\n']


def test_interrupt_is_status_130(capsys):
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(fail_with(KeyboardInterrupt()), interrupted='go on with --resume')
    assert caught.value.code == 130
    assert capsys.readouterr().err == '\ngo on with --resume\n'


def test_exit_of_the_tool_is_kept():
    with pytest.raises(SystemExit) as caught:
        launch.run_tool(fail_with(SystemExit(7)))
    assert caught.value.code == 7


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv('MULTIGRAIN_TRACEBACK', '1')
    with pytest.raises(KeyError):
        launch.run_tool(fail_with(KeyError('x')))


def test_command_line(tmp_path):
    """The whole way once: no traceback, one line, status."""
    tool = tmp_path / 'tool.py'
    tool.write_text(
        'from mmdet_multigrain.launch import check_file, run_tool\n'
        "run_tool(lambda: check_file('no.pth', 'checkpoint'))\n")
    done = subprocess.run(
        [sys.executable, str(tool)], capture_output=True, text=True, timeout=60,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == 'error: no.pth: no such checkpoint; check the path\n'


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (ValueError('a.json: bad\n  entry 3\n'), 'a.json: bad entry 3'),
        (OSError(28, 'No space left on device', 'a.pth'),
         "[Errno 28] No space left on device: 'a.pth'"),
        (KeyError('model'), f"KeyError: 'model' ({HINT})"),
        (RuntimeError('shape\nmismatch'), f'RuntimeError: shape mismatch ({HINT})'),
        (AssertionError(), f'AssertionError; {HINT}'),
        (RuntimeError('[gloo] Connection closed by peer [127.0.0.1]:1'),
         'another process of this run ended; its message says why'),
    ],
)
def test_one_line(error, message):
    error = raised(error)
    if isinstance(error, ValueError):  # raised in a test, not in the package
        assert launch.one_line(error) == f'ValueError: {message} ({HINT})'
    else:
        assert launch.one_line(error) == message


def test_messages_of_the_package_stand_alone():
    assert launch.one_line(of_the_package()).startswith("taxonomy 'deepfashion' is neither")


class Failing:
    """A data set in which reading fails."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.error is None:
            Taxonomy.load('deepfashion')
        raise self.error


@pytest.mark.parametrize(
    ('error', 'start', 'end'),
    [
        (None, "taxonomy 'deepfashion' is neither", ''),
        (KeyError('img_path'), "KeyError: 'img_path'", f'({HINT})'),
        (RuntimeError('no such\n  layer\n'), 'RuntimeError: no such layer', f'({HINT})'),
    ],
)
def test_error_of_a_worker(error, start, end):
    batches = iter(DataLoader(Failing(error), num_workers=1))
    with pytest.raises(Exception) as caught:  # noqa: B017 (any type)
        list(batches)
    for worker in batches._workers:
        worker.terminate()  # torch would wait 5 seconds
    message = launch.one_line(caught.value)
    assert '\n' not in message and 'Traceback' not in message
    assert message.startswith(start) and message.endswith(end)


def test_quiet_imports(capsys, recwarn):
    with launch.quiet_imports():
        print('an advertisement')
        warnings.warn('another one', stacklevel=1)
    print('shown')
    assert capsys.readouterr().out == 'shown\n'
    assert not recwarn


# ---------------------------------------------------------------------- configs


def test_a_config_with_overrides(configs):
    cfg = launch.load_config(
        configs / 'wgroup_r101_fpn_df2.py', {'optim_wrapper.optimizer.lr': 0.25, 'work_dir': 'w'})
    assert cfg.optim_wrapper.optimizer.lr == 0.25 and cfg.work_dir == 'w'
    assert cfg.model.roi_head.bbox_head.type == 'MultiGrainedBBoxHead'


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        ('wgroup_r101_fpn_df.py', 'no such config; did you mean wgroup_r101_fpn_df2.py'),
        ('zzz.py', 'no such config; check the path'),
        ('nowhere/a.py', 'no such config; check the path'),
        ('', 'this is a folder; name a config in it'),
    ],
)
def test_no_such_config(configs, path, message):
    with pytest.raises(ValueError) as caught:
        launch.load_config(configs / path)
    assert str(caught.value).startswith(f'{configs / path}: {message}')


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'model = dict(\n', "SyntaxError: '(' was never closed"),
        (b"_base_ = './nowhere.py'\n", 'FileNotFoundError: '),
        (b'a = b\n', "NameError: name 'b' is not defined"),
        (b"custom_imports = dict(imports=['no_such_module'], allow_failed_imports=False)\n",
         'ImportError: Failed to import no_such_module'),
        (b'\xff\xfe', "UnicodeDecodeError: 'utf-8' codec"),
    ],
)
@pytest.mark.filterwarnings('ignore')
def test_config_that_cannot_be_loaded(tmp_path, content, reason):
    path = tmp_path / 'bad.py'
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        launch.load_config(path)
    message = launch.one_line(caught.value)
    assert message.startswith(f'{path}: not a config that can be loaded ({reason}')
    assert '\n' not in message and message.count(HINT) == 1


def test_other_type_of_file(tmp_path):
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(ValueError, match='notes.txt: not a Python file'):
        launch.load_config(tmp_path / 'notes.txt')


def test_custom_data_by_options(configs, coco):
    before = dict(os.environ)
    cfg = launch.load_config(
        configs / 'wgroup_r18_fpn_custom.py',
        {'data_root': coco, 'train_ann': 'first.json', 'images': 'pictures',
         'train_dataloader.batch_size': 2})
    assert dict(os.environ) == before
    assert Taxonomy.load(cfg.taxonomy).classes == ('shirt', 'vest', 'skirt')
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    assert (train.data_root, train.ann_file) == (f'{coco}/', 'first.json')
    assert (val.ann_file, val.data_prefix.img) == ('val.json', 'pictures')
    assert cfg.test_evaluator.train_ann_file == f'{coco}/first.json'
    assert cfg.train_dataloader.batch_size == 2


def test_custom_data_by_environment_and_option(configs, coco, monkeypatch, tmp_path):
    yaml = tmp_path / 'two.yaml'
    yaml.write_text('groups: {a: [shirt, skirt], b: [vest]}')
    monkeypatch.setenv('MULTIGRAIN_DATA', str(coco))
    monkeypatch.setenv('MULTIGRAIN_TAXONOMY', 'deepfashion2')
    cfg = launch.load_config(configs / 'baseline_r18_fpn_custom.py', {'taxonomy': str(yaml)})
    assert Taxonomy.load(cfg.taxonomy).group_names(0) == ('a', 'b')
    assert os.environ['MULTIGRAIN_TAXONOMY'] == 'deepfashion2'
    assert launch.load_config(configs / 'baseline_r18_fpn_custom.py').num_classes == 13


def test_own_config_on_top_of_a_custom_one(configs, coco, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = {str(configs / "wgroup_r18_fpn_custom.py")!r}\n')
    assert launch.load_config(path, {'data_root': str(coco)}).data_root == f'{coco}/'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'data_root': 'nowhere'}, 'nowhere/train.json: no such file; MULTIGRAIN_DATA, MULTIG'),
        ({'taxonomy': 'deepfasion2'}, "taxonomy 'deepfasion2' is neither built in"),
    ],
)
def test_custom_data_that_is_not_there(configs, options, message):
    with pytest.raises(TaxonomyError) as caught:
        launch.load_config(configs / 'wgroup_r18_fpn_custom.py', options)
    assert launch.one_line(caught.value).startswith(message)


def test_data_root_moves_all_paths(configs):
    cfg = launch.load_config(configs / 'wgroup_r101_fpn_df2.py', {'data_root': '/big/df2'})
    assert cfg.train_dataloader.dataset.data_root == '/big/df2/'
    assert cfg.test_dataloader.dataset.data_root == '/big/df2/'
    assert cfg.val_evaluator.ann_file == '/big/df2/annotations/validation.json'
    assert 'data/deepfashion2' not in cfg.dump()


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('optim_wraper.optimizer.lr', "has no 'optim_wraper'; did you mean 'optim_wrapper'?"),
        ('zzz', "has no 'zzz'; no part of a run reads it"),
        ('train_pipeline', "'train_pipeline' is a variable of"),
    ],
)
def test_overrides_that_nothing_reads(configs, option, message):
    with pytest.raises(ValueError) as caught:
        launch.load_config(configs / 'wgroup_r101_fpn_df2.py', {option: 1})
    assert str(caught.value).startswith(f'--cfg-options {option}: ')
    assert message in str(caught.value)


def test_checkpoints(tmp_path):
    for name in ('iter_100.pth', 'iter_200.pth', 'log.json'):
        (tmp_path / name).touch()
    launch.check_checkpoint(tmp_path / 'iter_100.pth')
    launch.check_checkpoint('https://example.org/a.pth')
    with pytest.raises(ValueError, match='iter_300.pth: no such check.*; did you mean') as caught:
        launch.check_checkpoint(tmp_path / 'iter_300.pth')
    assert 'log.json' not in str(caught.value)
    with pytest.raises(ValueError, match='this is a folder; name a checkpoint in it'):
        launch.check_checkpoint(tmp_path)


def test_work_dir():
    for given, in_config, expected in (
        ('a', 'b', 'a'), (None, 'b', 'b'), (None, None, 'work_dirs/wgroup')
    ):
        cfg = Config({} if in_config is None else dict(work_dir=in_config))
        launch.set_work_dir(cfg, config_path='configs/x/wgroup.py', work_dir=given)
        assert cfg.work_dir == expected


# ---------------------------------------------------------------------- processes, arguments


@pytest.fixture
def groups(monkeypatch):
    """Process groups that were asked for."""
    calls = []
    monkeypatch.setattr(
        torch.distributed, 'init_process_group', lambda **kwargs: calls.append(kwargs))
    return calls


@pytest.mark.parametrize('cuda', [True, False])
def test_one_process(groups, monkeypatch, cuda):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    cfg = Config(dict(custom_hooks=[]))
    launch.start_processes(cfg, 'none')
    assert cfg.to_dict() == dict(launcher='none', custom_hooks=[]) and groups == []


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_processes_with_gpus_are_left_to_mmengine(groups, monkeypatch, launcher):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config(dict(custom_hooks=[dict(type='PreflightHook')]))
    launch.start_processes(cfg, launcher)
    assert cfg.launcher == launcher and 'model_wrapper_cfg' not in cfg and groups == []
    assert [hook.type for hook in cfg.custom_hooks] == ['PreflightHook', 'SameBuffersHook']


def test_processes_on_cpus(groups, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    cfg = Config(dict(find_unused_parameters=True))
    launch.start_processes(cfg, 'pytorch')
    assert groups == [dict(backend='gloo')]
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False,
        find_unused_parameters=True)


def test_a_reader_that_has_seen_enough_is_no_error():
    code = ('from mmdet_multigrain.launch import run_tool\n'
            'run_tool(lambda: [print("x" * 1000) for _ in range(10_000)])')
    process = subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait() == 141


@pytest.mark.parametrize(
    ('ending', 'status', 'says'),
    [
        ('pass', 0, ''),
        ('sys.exit(143)', 143, ''),
        ('raise FileNotFoundError("no such file")', 2, 'error: no such file\n'),
    ],
)
def test_a_process_of_several_ends_at_once(ending, status, says):
    """Threads of gloo in a half-dismantled interpreter ended some finished runs by SIGABRT."""
    code = (
        'import atexit, os, sys, torch\n'
        'from mmengine.config import Config\n'
        'from mmdet_multigrain import launch\n'
        'class Last:\n'
        '    def __del__(self, write=os.write):\n'
        '        write(1, b"dismantled")\n'
        'last = Last()\n'
        'torch.cuda.is_available = lambda: False\n'
        'atexit.register(print, "at exit")\n'
        'def main():\n'
        '    launch.start_processes(Config(dict()), "pytorch")\n'
        f'    {ending}\n'
        'launch.run_tool(main)\n')
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = str(free.getsockname()[1])
    meeting = dict(MASTER_ADDR='localhost', MASTER_PORT=port, WORLD_SIZE='1', RANK='0')
    done = subprocess.run([sys.executable, '-c', code], env={**os.environ, **meeting},
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, 'at exit\n', says)


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_launchers_that_need_gpus(groups, monkeypatch, launcher):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match=f'--launcher {launcher} needs GPUs; on CPUs use'):
        launch.start_processes(Config(), launcher)
    assert groups == []


def parse(*arguments):
    parser = argparse.ArgumentParser()
    launch.add_common_arguments(parser)
    return parser.parse_args(arguments)


def test_arguments():
    args = parse()
    assert (args.work_dir, args.cfg_options, args.launcher, args.local_rank) == (
        None, None, 'none', 0)
    args = parse('--launcher', 'slurm', '--local-rank', '3', '--cfg-options', 'a.lr=1e-3',
                 'b=[1,2]', 'c=my folder/x', 'd=True', 'e="1.5"')
    assert (args.launcher, args.local_rank) == ('slurm', 3)
    assert args.cfg_options == {
        'a.lr': 0.001, 'b': [1, 2], 'c': 'my folder/x', 'd': True, 'e': 1.5}


def test_arguments_that_are_none(capsys):
    for arguments in (['--cfg-options', 'lr'], ['--launcher', 'ray']):
        with pytest.raises(SystemExit) as caught:
            parse(*arguments)
        assert caught.value.code == 2
    assert "'lr' is not KEY=VALUE" in capsys.readouterr().err


def test_local_rank(monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    launch.set_local_rank(2)
    assert os.environ['LOCAL_RANK'] == '2'
    launch.set_local_rank(0)  # what torchrun has set counts
    assert os.environ['LOCAL_RANK'] == '2'
    monkeypatch.delenv('LOCAL_RANK')


@pytest.mark.parametrize('suffix', ['.yaml', '.yml', '.json'])
def test_configs_are_python(tmp_path, suffix):
    marker = tmp_path / 'the code has run'
    path = tmp_path / f'config{suffix}'
    path.write_text(f'model: !!python/object/apply:os.mkdir [{marker}]\n')
    with pytest.raises(ValueError, match=f'^{path}: not a Python file'):
        launch.load_config(path)
    assert not marker.exists()
