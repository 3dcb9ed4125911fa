"""Make a checkpoint ready for others: without the state of the optimizer, with a checksum in its
name.

    python tools/model_converters/publish_model.py work_dirs/run/latest.pth knet_r50.pth

writes knet_r50-<first 8 digits of its sha256>.pth, with the parameters and what the checkpoint
tells about its run.
"""

import argparse
import hashlib
import io
from pathlib import Path
from typing import Optional, Sequence

import torch

from knet.errors import report_input_errors
from knet.files import write_bytes
from knet.models.checkpoint import extract_state_dict, read_checkpoint


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """The options; None takes the command line of the process."""
    parser = argparse.ArgumentParser(
        description='Strip a checkpoint and put a checksum into its name'
    )
    parser.add_argument('checkpoint', metavar='IN', help='checkpoint file')
    parser.add_argument(
        'out', metavar='OUT', type=Path, help='name of the new file, without checksum'
    )
    parser.add_argument(
        '--allow-pickle',
        action='store_true',
        help='load a checkpoint that asks for more than tensors and numbers; only if you trust '
        'its source',
    )
    return parser.parse_args(arguments)


def publish(path: str, out: Path, allow_pickle: bool = False) -> Path:
    """Write what tools/test.py and --load-from need of a checkpoint.

    Args:
        path: Checkpoint file.
        out: Name of the new file; the checksum goes before its suffix .pth, which is added where it
            is missing.
        allow_pickle: See `knet.models.checkpoint.read_checkpoint`.

    Returns:
        path of the new file.

    Raises:
        InputError: the checkpoint cannot be read or the file not be written.
    """
    checkpoint = read_checkpoint(path, allow_pickle)
    content = dict(state_dict=extract_state_dict(checkpoint, path))
    if isinstance(checkpoint.get('meta'), dict):
        content['meta'] = dict(checkpoint['meta'])
        if 'config' in content['meta']:  # mmcv runs what it finds there when a run goes on
            content['meta']['config_text'] = content['meta'].pop('config')
    buffer = io.BytesIO()
    torch.save(content, buffer)
    stem = out.name[: -len('.pth')] if out.name.endswith('.pth') else out.name
    final = out.with_name(f'{stem}-{hashlib.sha256(buffer.getbuffer()).hexdigest()[:8]}.pth')
    write_bytes(final, buffer.getbuffer())
    return final


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Write the file and say where it is."""
    args = parse_args(arguments)
    path = publish(args.checkpoint, args.out, args.allow_pickle)
    print(
        f'{path} ({path.stat().st_size / 2**20:.1f} MiB, from '
        f'{Path(args.checkpoint).stat().st_size / 2**20:.1f} MiB)'
    )


if __name__ == '__main__':
    with report_input_errors():
        main()
