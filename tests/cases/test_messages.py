"""Cases 18 to 21: test sets, labels without a font, names that are numbers, LVIS."""


def test_a_test_set_is_predicted_on(run_case):
    output = run_case('18')
    assert 'error' not in output and 'results are saved in' in output


def test_labels_without_a_font(run_case):
    output = run_case('19')
    assert 'MULTIGRAIN_FONT=' in output or 'no font' not in output


def test_names_that_are_numbers_or_differ_in_case(run_case):
    numbers, _, case = run_case('20').partition('== casename')
    assert "4 category fields 'name' that are numbers, read as text" in numbers
    assert 'verdict on the repaired copy: clean' in numbers
    assert "classes 'k' and 'K' differ only in case" in case


def test_lvis_without_file_names(run_case):
    output = run_case('21')
    assert "read: 12 file names taken from 'coco_url'" in output
    assert 'error' not in output
