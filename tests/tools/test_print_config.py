"""tools/misc/print_config.py."""

import pytest

from knet.apis import load_config
from knet.errors import InputError


def test_what_is_printed_is_the_same_config(tool, tiny_config, tmp_path):
    path = tmp_path / 'printed.py'
    path.write_text(tool('misc/print_config', tiny_config, '--cfg-options', 'runner.max_epochs=77'))
    expected = load_config(tiny_config, {'runner.max_epochs': 77})
    assert '_base_' not in path.read_text() and 'max_epochs=77' in path.read_text()
    assert load_config(str(path))._cfg_dict == expected._cfg_dict


def test_unknown_option(tool, tiny_config):
    with pytest.raises(InputError, match="no key 'runer'; did you mean runner"):
        tool('misc/print_config', tiny_config, '--cfg-options', 'runer.max_epochs=77')
