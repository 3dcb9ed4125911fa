"""What the command lines of the programs can say. Imports nothing heavy."""

import argparse
import os
from pathlib import Path
from typing import Callable, Dict, NamedTuple

from knet.options import (
    DRAWINGS,
    PRECISION_NAMES,
    VIDEO_OUTPUTS,
    at_least,
    key_value,
    read_number,
    some_of,
)

Parser = argparse.ArgumentParser


class Program(NamedTuple):
    """A program.

    module: Of `knet.commands`; its `run` takes what the options say.
    description: What it does.
    add_options: Adds its options to a parser.
    """

    module: str
    description: str
    add_options: Callable[[Parser], None]

    def parser(self) -> Parser:
        """Parser of its command line."""
        parser = Parser(description=self.description)
        self.add_options(parser)
        return parser


# ------------------------------------------------------------------- what several programs share


def add_model_options(parser: Parser) -> None:
    """What runs a model: settings of the config, trust in checkpoints."""
    parser.add_argument(
        '--allow-pickle',
        action='store_true',
        help='load checkpoints that ask for more than tensors and numbers; only for files whose '
        'source you trust',
    )
    add_config_options(parser)


def add_config_options(parser: Parser) -> None:
    """What changes settings of a config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=key_value,
        metavar='KEY=VALUE',
        help='change settings of the config',
    )


def add_precision_option(parser: Parser) -> None:
    """Precision of the network in testing."""
    parser.add_argument(
        '--precision',
        choices=PRECISION_NAMES,
        default='fp32',
        help='of the network (default: fp32); bf16 is fast on processors and GPUs that have it, '
        'fp16 on GPUs',
    )


def add_clip_option(parser: Parser) -> None:
    """How many frames are computed together."""
    parser.add_argument(
        '--clip-len',
        type=at_least(1),
        metavar='N',
        help='frames that go through the network together, except for what looks at the frame '
        'before; the results are the same but for rounding (default: 1 on the CPU, 4 on a GPU)',
    )


def add_process_options(parser: Parser) -> None:
    """What runs in several processes."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm'],
        default='none',
        help='what started this process',
    )
    parser.add_argument(
        '--timeout-minutes',
        type=at_least(0.01),
        default=30,
        metavar='M',
        help='so long the processes wait for one that does not answer (default: 30)',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, help='set by launchers; not used')


def add_rule_options(parser: Parser) -> None:
    """Which frames count, by which rules."""
    parser.add_argument(
        '--protocol',
        metavar='NAME',
        help="step (default): the benchmark's own rules; video-knet: those of Video K-Net's "
        'published tables; waymo: the 29 native Waymo classes; cityscapes-dvps, semkitti-dvps: the '
        'classes of these sets. Results that tools/test.py wrote '
        'for a data set with other classes bring their own rules',
    )
    parser.add_argument('--split', default='val', help='split of a data root (default: val)')


def add_look_options(parser: Parser) -> None:
    """The options of what looks at mistakes: rules, sequences, threads."""
    add_rule_options(parser)
    parser.add_argument(
        '--sequences', type=int, nargs='+', default=(), metavar='N', help='look at these only'
    )
    parser.add_argument(
        '--nproc',
        type=at_least(1),
        default=min(8, os.cpu_count() or 1),
        metavar='N',
        help='threads, each of which holds some frames (default: one for each core, up to 8)',
    )


# ------------------------------------------------------------------- the programs


def add_train_options(parser: Parser) -> None:
    """The options of tools/train.py."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder of checkpoints and logs (default: work_dirs/<name of the config>)',
    )
    parser.add_argument(
        '--load-from',
        help='checkpoint with first weights: a K-Net, a Video K-Net or an ImageNet backbone',
    )
    parser.add_argument(
        '--ignore-mismatched',
        action='store_true',
        help='with --load-from: parameters of another shape (other classes) keep their initial '
        'value',
    )
    parser.add_argument('--resume-from', help='checkpoint of an interrupted run to go on with')
    parser.add_argument(
        '--auto-resume',
        action='store_true',
        help='go on with the newest checkpoint of the work dir, if there is one',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='delete the checkpoints of an earlier run in the work dir (those after --resume-from)',
    )
    parser.add_argument(
        '--checkpoint-minutes',
        type=at_least(0.0),
        default=15,
        metavar='M',
        help='also save within an epoch when so much time has gone by (default: 15; 0: never)',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='read and build everything, and end before the first step',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate during training'
    )
    parser.add_argument('--gpu-id', type=int, default=0, help='GPU of a run without launcher')
    parser.add_argument(
        '--seed',
        type=at_least(0, 2**32 - 1),
        help='seed of all random streams (default: a random one, which the log names)',
    )
    parser.add_argument(
        '--deterministic', action='store_true', help='use deterministic CUDA algorithms'
    )
    add_model_options(parser)
    add_process_options(parser)


def add_test_options(parser: Parser) -> None:
    """The options of tools/test.py."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', help='checkpoint file, or the work dir of a run for its newest one'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='where the results go (default: work_dirs/<name of the config>)',
    )
    parser.add_argument('--out', help='folder of the predictions (default: <work dir>/results)')
    parser.add_argument(
        '--show-dir',
        nargs='?',
        const='',
        help='also write coloured maps and videos into this folder (default: <work dir>/show)',
    )
    parser.add_argument(
        '--eval',
        nargs='*',
        metavar='METRIC',
        help='evaluate: STQ, VPQ, on images PQ, with depth also DSTQ, DVPQ, DEPTH; without a name '
        'all that fit, if the split has ground truth',
    )
    add_precision_option(parser)
    add_clip_option(parser)
    add_model_options(parser)
    add_process_options(parser)


def add_video_demo_options(parser: Parser) -> None:
    """The options of tools/video_demo.py."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint', help='checkpoint file, or the work dir of a run for its newest one'
    )
    parser.add_argument(
        'input',
        help='video file, folder of images (in the order of their names; of the STEP layout '
        'without the maps beside them), or the number of a camera',
    )
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='folder of the results'
    )
    parser.add_argument(
        '--write',
        type=some_of(VIDEO_OUTPUTS),
        default='video,json',
        metavar='KIND,...',
        help=f'what to write: {", ".join(VIDEO_OUTPUTS)} (default: video,json)',
    )
    parser.add_argument(
        '--start',
        default='0',
        metavar='WHERE',
        help='first frame: its number (of the STEP layout that in the name, else from 0 on), or '
        'its time, such as 12.5s or 1:30',
    )
    parser.add_argument('--end', metavar='WHERE', help='the frame before which to stop, likewise')
    parser.add_argument(
        '--stride',
        type=at_least(1),
        default=1,
        metavar='N',
        help='only every N-th frame; the video gets as many frames per second fewer',
    )
    parser.add_argument(
        '--resize',
        metavar='SIZE',
        help='size of the frames before anything else: 1280 = longer side in pixels, aspect ratio '
        'kept; 1280x720 = width and height. All results have it (the overlay of small frames is '
        'enlarged). By default as they are; a model does best at the size that it was trained with',
    )
    parser.add_argument(
        '--opacity',
        type=at_least(0.0, 1.0),
        default=0.6,
        metavar='A',
        help='of things in the overlay, 0 to 1; stuff has half of it (default: 0.6)',
    )
    parser.add_argument(
        '--fps',
        type=at_least(0.01),
        metavar='N',
        help='frames per second of a folder of images (default: 10); videos have their own',
    )
    parser.add_argument(
        '--sequence',
        type=at_least(0),
        metavar='N',
        help='of a folder in STEP layout that holds several',
    )
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1, ... (default: the first GPU, or the CPU)'
    )
    add_precision_option(parser)
    add_clip_option(parser)
    add_model_options(parser)


def add_evaluate_options(parser: Parser) -> None:
    """The options of tools/eval_dstq_step.py and tools/eval_dvpq_step.py."""
    parser.add_argument(
        'result_path',
        type=Path,
        help='folder that holds panoptic/ (and depth/), or panoptic/ itself; or one of torch files '
        'with panseg and depth, as PolyphonicFormer writes them',
    )
    parser.add_argument(
        'gt_path',
        type=Path,
        help='data root, holding video_sequence/<split>, or the folder of the split itself',
    )
    add_rule_options(parser)
    parser.add_argument(
        '--window-size',
        type=at_least(1),
        nargs='+',
        default=[1, 2, 3, 4],
        metavar='K',
        help='frames per window of VPQ (default: 1 2 3 4)',
    )
    parser.add_argument('--depth', action='store_true', help='evaluate depth too: DSTQ and DVPQ')
    parser.add_argument(
        '--depth-threshold',
        type=_positive,
        nargs='+',
        metavar='T',
        help='with --depth: factors up to which DSTQ takes a depth as right (default: 1.25)',
    )
    parser.add_argument(
        '--depth-lambda',
        type=_positive,
        nargs='+',
        metavar='L',
        help='with --depth: relative depth errors above which DVPQ drops a pixel (default: 0.5 '
        '0.25 0.1)',
    )
    parser.add_argument(
        '--coverage', type=Path, metavar='DIR', help='camera coverage maps: weighted STQ'
    )
    parser.add_argument(
        '--tracked',
        type=Path,
        metavar='DIR',
        help='masks: ground truth where they are 0 loses its instance id',
    )
    parser.add_argument(
        '--nproc',
        type=at_least(1),
        default=1,
        metavar='N',
        help='cores to use (default: 1); the numbers do not depend on it',
    )
    parser.add_argument(
        '--json', type=Path, metavar='FILE', help='write all numbers, STQ and VPQ, as JSON'
    )
    parser.add_argument('--plot', type=Path, metavar='DIR', help='write plots')


def add_report_options(parser: Parser) -> None:
    """The options of tools/report.py."""
    parser.add_argument('result_path', type=Path, metavar='RESULT', help='folder with panoptic/')
    parser.add_argument(
        'gt_path',
        type=Path,
        metavar='GT',
        help='data root, holding video_sequence/<split>, or the folder of the split itself',
    )
    parser.add_argument(
        'other_path', type=Path, nargs='?', metavar='RESULT2', help='another run to compare with'
    )
    parser.add_argument('--out', type=Path, default=Path('report.html'), help='the page (.html)')
    parser.add_argument('--title', help='of the page (default: the folder of the data)')
    parser.add_argument(
        '--names', nargs='+', metavar='NAME', help='of the runs (default: their folders)'
    )
    parser.add_argument(
        '--embed',
        action=argparse.BooleanOptionalAction,
        help='put the pictures into the page, or into a folder beside it (default: into the page '
        'for up to 400 frames)',
    )
    parser.add_argument(
        '--width',
        type=at_least(64, 4096),
        default=560,
        metavar='PIXELS',
        help='of the pictures (default: 560)',
    )
    add_look_options(parser)


def add_visualize_options(parser: Parser) -> None:
    """The options of tools/visualize.py."""
    parser.add_argument('result_path', type=Path, metavar='RESULT', help='folder with panoptic/')
    parser.add_argument(
        'gt_path',
        type=Path,
        nargs='?',
        metavar='GT',
        help='data root, holding video_sequence/<split>, or the folder of the split; without it no '
        'errors are drawn',
    )
    parser.add_argument('--out', type=Path, help='folder of the pictures (default: RESULT/show)')
    parser.add_argument(
        '--write',
        type=some_of((*DRAWINGS, 'sheet')),
        default=(*DRAWINGS, 'sheet'),
        metavar='LIST',
        help=f'what to write, of {",".join(DRAWINGS)},sheet (default: all)',
    )
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images, named as in STEP (default: that of GT, or the one that the '
        'predictions were made of, or RESULT/images)',
    )
    parser.add_argument(
        '--worst',
        type=at_least(1),
        default=12,
        metavar='N',
        help='at most so many frames on the sheet, 5 or more apart (default: 12)',
    )
    parser.add_argument('--fps', type=at_least(1), default=10, help='of the videos (default: 10)')
    add_look_options(parser)


def add_check_environment_options(parser: Parser) -> None:
    """The options of tools/misc/check_environment.py."""
    parser.add_argument(
        'folder',
        nargs='?',
        default='.',
        metavar='DIR',
        help='where results will go (default: here)',
    )


def add_check_dataset_options(parser: Parser) -> None:
    """The options of tools/misc/check_dataset.py."""
    parser.add_argument(
        'root',
        type=Path,
        help='data root, such as data/kitti-step or data/cityscapes, or a folder of STEP maps',
    )
    parser.add_argument(
        '--classes',
        choices=('step', 'waymo'),
        default='step',
        help='step (default) or the 29 native classes of Waymo',
    )
    parser.add_argument(
        '--dataset',
        metavar='NAME',
        help='data set as configs name it: its layout and classes (with --import one of your own)',
    )
    parser.add_argument(
        '--import',
        dest='module',
        metavar='MODULE',
        help='module that registers the data set of --dataset, as custom_imports of a config does',
    )
    parser.add_argument(
        '--gap',
        type=int,
        default=20,
        metavar='N',
        help='count objects that are away for more frames (default: 20)',
    )
    parser.add_argument(
        '--nproc', type=at_least(1), default=1, metavar='N', help='cores to use (default: 1)'
    )
    parser.add_argument(
        '--plot', type=Path, metavar='FILE', help='draw the statistics into a PNG file'
    )


def _positive(text: str) -> float:
    number = read_number(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'must be a positive number, got {text}')
    return number


def _evaluation(*metrics: str) -> Callable[[Parser], None]:
    def add_options(parser: Parser) -> None:
        add_evaluate_options(parser)
        parser.set_defaults(metrics=metrics)

    return add_options


PROGRAMS: Dict[str, Program] = {
    'train': Program('train', 'Train a detector', add_train_options),
    'test': Program('test', 'Test a detector on videos or images', add_test_options),
    'video_demo': Program(
        'video_demo',
        'Segment a video, a folder of images or a camera, and write what is seen',
        add_video_demo_options,
    ),
    'eval_dstq_step': Program(
        'evaluate',
        'STQ (with --depth also DSTQ) of predictions in STEP layout.',
        _evaluation('stq'),
    ),
    'eval_dvpq_step': Program(
        'evaluate',
        'VPQ (with --depth also DVPQ) of predictions in STEP layout.',
        _evaluation('vpq'),
    ),
    'report': Program(
        'report', 'Write a page that shows what is wrong with predictions', add_report_options
    ),
    'visualize': Program(
        'visualize',
        'Draw predictions on disk: maps, tracks, errors, videos, the worst frames',
        add_visualize_options,
    ),
    'misc/check_environment': Program(
        'check_environment',
        'Say what this machine has and whether Video K-Net can run on it',
        add_check_environment_options,
    ),
    'misc/check_dataset': Program(
        'check_dataset',
        'Check a prepared set, in STEP layout or in that of Cityscapes-STEP, and show what is in '
        'it',
        add_check_dataset_options,
    ),
}
"""By the names of the files in tools/."""

EVALUATE = Program(
    'evaluate',
    'STQ and VPQ (with --depth also DSTQ and DVPQ) of predictions in STEP layout.',
    _evaluation('stq', 'vpq'),
)
SUBCOMMANDS: Dict[str, Program] = {
    'train': PROGRAMS['train'],
    'test': PROGRAMS['test'],
    'demo': PROGRAMS['video_demo'],
    'eval': EVALUATE,
    'report': PROGRAMS['report'],
    'visualize': PROGRAMS['visualize'],
    'check': PROGRAMS['misc/check_environment'],
    'check-dataset': PROGRAMS['misc/check_dataset'],
}
"""Of `video-knet`, the program that `pip install` puts on the PATH."""
