"""Progress bars, shown and hidden."""

from mmdet_multigrain.utils.progress import progress_bar


def test_a_bar_passes_items_on(capsys):
    assert list(progress_bar('abc', desc='letters', show=True)) == ['a', 'b', 'c']
    assert 'letters: 100%' in capsys.readouterr().err


def test_a_hidden_bar_prints_nothing(capsys):
    with progress_bar(total=3, desc='letters', show=False) as bar:
        bar.update(3)
    assert capsys.readouterr() == ('', '')


def test_a_bar_is_drawn_once_a_second_at_most():
    assert progress_bar([], show=True).mininterval == 1
