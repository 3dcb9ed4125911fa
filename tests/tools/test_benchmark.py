"""tools/benchmark.py: parts, ratios, comparison with an earlier run."""

import json

import pytest

from tests.conftest import assert_one_line_error, run_tool

PARTS = {
    'eval': ('decoding alone', 'reading', 'histogram', 'metric', 'whole run'),
    'data': ('decoding alone', 'whole pair'),
    'test': ('reading', 'network', 'merge', 'ids and result', 'writing', 'whole loop'),
    'train': ('forward and losses', 'backward', 'optimizer', 'whole step'),
}


@pytest.mark.parametrize('what', PARTS)
def test_parts(what, tiny_config, tmp_path):
    options = ['--frames', 2, '--json', tmp_path / 'a.json']
    if what in ('test', 'train'):
        options += ['--config', tiny_config, '--device', 'cpu'][: 4 if what == 'test' else 2]
    done = run_tool('benchmark', what, *options)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / 'a.json').read_text())
    assert set(result['ms']) == set(PARTS[what])
    assert all(ms['wall'] > 0 for ms in result['ms'].values()) and result['peak_mb'] > 50
    assert all(f'| {part} ' in done.stdout for part in PARTS[what])
    if what != 'train':
        assert all(ratio > 0.5 for ratio in result['ratios'].values()) and result['ratios']


def test_comparison(tmp_path):
    run_tool('benchmark', 'eval', '--frames', 2, '--json', tmp_path / 'a.json')
    done = run_tool('benchmark', 'eval', '--frames', 2, '--compare', tmp_path / 'a.json')
    assert done.returncode == 0 and 'wall / earlier' in done.stdout
    (tmp_path / 'b.json').write_text('{"what": "data"}')
    done = run_tool('benchmark', 'eval', '--compare', tmp_path / 'b.json')
    assert_one_line_error(done, '--compare', ' --json wrote')
