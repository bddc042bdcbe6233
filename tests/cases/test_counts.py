"""Case 01: a file of crowds, of which training uses no box."""


def test_a_file_of_crowds_is_refused_before_training(run_case):
    output = run_case('01')
    check, _, train = output.split('---')[1:]
    assert 'verdict: clean' not in check and '24 boxes: 24 x crowd (iscrowd 1)' in check
    assert 'none of its 24 boxes can be trained on (24 x crowd' in output
    assert 'train.json: none of its 24 boxes can be trained on (24 are crowds' in train
    assert 'Iter(train)' not in output and 'best checkpoint' not in output
