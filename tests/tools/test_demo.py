"""tools/demo.py: a page that a client reaches on this machine, and nobody else."""

from __future__ import annotations

import re
import urllib.request

import pytest
from PIL import Image

from mmdet_multigrain.apis import demo_page
from mmdet_multigrain.apis.detector import Detector
from mmdet_multigrain.launch import load_config
from mmdet_multigrain.utils.errors import ConfigError

from .conftest import SMALL, call

MODEL = [option for option in SMALL if option.startswith('model.')]


def test_the_page_over_http(trained, garment_data):
    pytest.importorskip('gradio')
    client = pytest.importorskip('gradio_client')
    photo = next((garment_data / 'validation' / 'image').iterdir())
    cfg = load_config(trained.work_dir / 'wgroup_r18_fpn_synthetic.py')
    detector = Detector(cfg, str(trained.checkpoint), device='cpu', answers=0.3)
    page = demo_page.build_page(detector, title='A demo', score_thr=0.05)
    address = demo_page.launch(page, host='127.0.0.1', port=None, wait=False)
    try:
        assert re.fullmatch(r'http://127\.0\.0\.1:\d+/', address)
        html = urllib.request.urlopen(address).read().decode()
        assert 'A demo' in html
        loaded = re.findall(
            r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(\w+://[^"]+)"', html
        )
        assert [url for url in loaded if not url.startswith(address)] == []
        page_client = client.Client(address, verbose=False, analytics_enabled=False)
        sent = client.handle_file(str(photo))
        picture, table, promise = page_client.predict(sent, 0.05, 0.3, api_name='/detect')
        with Image.open(picture) as drawn:
            assert drawn.size == (384, 480)  # enlarged from 64 x 80
        assert table['headers'] == [*demo_page.COLUMNS] and len(table['data']) > 0
        assert {row[2] for row in table['data']} <= {'top', 'bottom', 'one-piece dress'}
        assert 'Nothing is promised' in promise
        _, table, _ = page_client.predict(sent, 0.05, 1.0, api_name='/detect')
        assert {row[0] for row in table['data']} == {'object'}
        port = int(address.split(':')[2].strip('/'))
        other = demo_page.build_page(detector, title='Another', score_thr=0.05)
        with pytest.raises(ConfigError, match=f'host 127.0.0.1, port {port}: cannot be used'):
            demo_page.launch(other, host='127.0.0.1', port=port, wait=False)
    finally:
        page.close(verbose=False)


def test_what_the_command_serves(trained, config, monkeypatch):
    asked = {}
    monkeypatch.setattr(demo_page, 'build_page', lambda detector, **more: (detector, more))
    monkeypatch.setattr(demo_page, 'launch', lambda page, **more: asked.update(more, page=page))
    result = call('demo', config, trained.checkpoint, '--device', 'cpu', '--cfg-options', *MODEL)
    assert result.status == 0, result.err
    detector, look = asked['page']
    assert (asked['host'], asked['port']) == ('127.0.0.1', None)
    assert look == dict(title='iter_2.pth', score_thr=0.3) and detector.answers.theta == 0.8
    result = call('demo', config, trained.checkpoint, '--hedge', '0.6', '--port', 7999,
                  '--device', 'cpu', '--cfg-options', *MODEL)  # fmt: skip
    assert asked['port'] == 7999 and asked['page'][0].answers.theta == 0.6


def test_wrong_input_is_answered_in_one_line(config, tmp_path):
    line = call('demo', config, tmp_path / 'none.pth').error()
    assert 'none.pth: no such checkpoint' in line
    assert "'0' is not a whole number from 1" in call('demo', 'a', 'b', '--port', 0).err
