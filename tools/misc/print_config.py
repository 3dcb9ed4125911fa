"""Print a config as it is after inheritance and options.

python tools/misc/print_config.py CONFIG [--cfg-options KEY=VALUE ...]
"""

import argparse
from typing import Optional, Sequence

from knet.apis import load_config
from knet.commands.options import add_config_options
from knet.errors import report_input_errors


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(
        description='Print a config after inheritance; the output is a config itself'
    )
    parser.add_argument('config', help='config file')
    add_config_options(parser)
    return parser.parse_args(arguments)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Print the config."""
    args = parse_args(arguments)
    print(load_config(args.config, args.cfg_options).pretty_text, end='')


if __name__ == '__main__':
    with report_input_errors():
        main()
