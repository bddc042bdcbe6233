"""Cases 01 and 08: a file of crowds; a root without boxes that has the name of a class."""


def test_a_file_of_crowds_is_refused_before_training(run_case):
    output = run_case('01')
    check, _, train = output.split('---')[1:]
    assert 'verdict: clean' not in check and '24 boxes: 24 x crowd (iscrowd 1)' in check
    assert 'none of its 24 boxes can be trained on (24 x crowd' in output
    assert 'train.json: none of its 24 boxes can be trained on (24 are crowds' in train
    assert 'Iter(train)' not in output and 'best checkpoint' not in output


def test_a_root_with_the_name_of_a_class_is_left_out(run_case):
    output = run_case('08')
    assert 'category-namesake-without-boxes' in output and 'categories-one-class' not in output
    assert "'shirt' (id 1) and 'shirt' (id 0)" in output
    assert 'verdict: clean' in output and 'are both class' not in output
