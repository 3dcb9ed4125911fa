"""Segment a video, a folder of images or a camera: one command from a file to a video with classes,
objects and track ids drawn over it, and to files that other programs load:
see tools/video_demo.py."""

import itertools
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import cv2
import torch
from mmdet.utils import get_root_logger
from tqdm import tqdm

import knet
from knet.apis import (
    VideoSource,
    find_checkpoint,
    init_model,
    load_config,
    segment_frames,
)
from knet.apis.build import blame_config
from knet.apis.clips import default_clip_len
from knet.apis.explain import require
from knet.apis.test import WAITING, progress_interval
from knet.apis.video_results import CONTENTS, NAMES, VideoResults
from knet.data import find_dataset
from knet.errors import InputError
from knet.files import result_folder
from knet.models.checkpoint import file_hash
from knet.parallel import in_background
from knet.tasks import find_task


def open_input(args):
    """The source of the frames, its frames and the size of the first one, which is read: what
    cannot be used is said before anything is written."""
    is_camera = args.input.isdecimal() and not Path(args.input).exists()
    source = VideoSource(
        int(args.input) if is_camera else args.input,
        start=args.start,
        end=args.end,
        stride=args.stride,
        sequence=args.sequence,
        fps=args.fps,
        resize=args.resize,
    )
    if not is_camera:
        path = Path(args.input).resolve()
        for name in CONTENTS:
            place = (args.out / name).resolve()
            if place == path or place in path.parents:
                raise InputError(
                    f'{args.input} lies where the results would go; name another folder than '
                    f'--out {args.out}'
                )
    frames = iter(source)
    first = next(frames)
    return source, itertools.chain([first], frames), first.image.shape[1::-1]


def note_size(size, scale):
    """A note where frames have quite another size (width, height) than training; else empty."""
    if not isinstance(scale, (tuple, list)):
        return ''
    least, most = sorted((max(size), max(scale)))
    if most <= 1.5 * least:
        return ''
    return (
        f'the frames are {size[0]}x{size[1]}, the model was trained with about '
        f'{scale[0]}x{scale[1]}; --resize {max(scale)} may give better segments'
    )


class StopSignals:
    """Takes note of SIGINT and SIGTERM in a block, so that what runs can be finished; another one
    ends the process at once.

    Attributes:
        number: The signal that came; 0 = none.
    """

    def __init__(self):
        self.number, self._before = 0, {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as of jobs in the background
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, frame):
        self.number = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        if os.isatty(2):
            os.write(2, b'\nfinishing with the frames so far; Ctrl-C again ends at once\n')


def describe(args, checkpoint, source, task, info):
    """What the results are made of."""
    data = None if args.resize else source.reader.step_folder  # images of the size of the results
    options = ('input', 'start', 'end', 'stride', 'resize', 'sequence', 'write')
    return dict(
        config=args.config,
        cfg_options=args.cfg_options,
        checkpoint=str(checkpoint),
        checkpoint_sha256=file_hash(checkpoint),
        **{name: getattr(args, name) for name in options},
        data=data and str(data),
        protocol=task.describe_protocol(info),
        version=knet.__version__,
        torch=torch.__version__,
        time=time.strftime('%Y-%m-%d %H:%M:%S'),
    )


def write_results(segmented, source, results, stop, logger):
    """Write frame by frame as they are segmented.

    Returns:
        why it ended before the source did: the frame that cannot be read, or the signal that came;
        else None.
    """
    faults = []
    with blame_config('the first frame', logger):
        segmented = itertools.chain([next(segmented)], up_to_fault(segmented, faults))
    bar = tqdm(
        segmented,
        desc='segmenting',
        total=source.length,
        unit='frame',
        mininterval=progress_interval(),
    )
    with bar, in_background(WAITING) as later:
        for frame, result in bar:
            later(results.add, frame, result)
            if stop.number:
                return signal.Signals(stop.number)
    return faults[0] if faults else None


def up_to_fault(frames, faults):
    """The frames up to one that cannot be read, which goes into `faults`: those before it count."""
    try:
        yield from frames
    except InputError as error:
        faults.append(error)


def run(args):
    """Do what the options say."""
    # damaged files are reported by us, in one line
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    set_level = getattr(cv2, 'setLogLevel', None) or cv2.utils.logging.setLogLevel  # 4 or 5
    set_level(0)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest: tqdm.write(f'warning: {message}', sys.stderr)
        segment(args)


def segment(args):
    """Segment the input and write what was asked for."""
    cfg = load_config(args.config, args.cfg_options)
    require(cfg, 'data.name')
    task, info = find_task(cfg.get('task')), find_dataset(cfg.data.name)
    source, frames, size = open_input(args)
    logger = get_root_logger(log_level=cfg.log_level)
    note = note_size(size, (cfg.data.get('train') or {}).get('scale'))
    if note:
        logger.warning(note)
    checkpoint = find_checkpoint(args.checkpoint, logger)
    model = init_model(cfg, checkpoint, args.device, args.allow_pickle, logger, args.precision)
    made_of, begin = describe(args, checkpoint, source, task, info), time.monotonic()
    with result_folder(args.out, CONTENTS, NAMES, made_of), StopSignals() as stop:
        with VideoResults(
            args.out, info.label_space, source, args.write, args.opacity, task.makes_videos
        ) as results:
            clip_len = 1 if source.is_live else args.clip_len or default_clip_len(model.device)
            segmented = segment_frames(model, frames, clip_len)
            end = write_results(segmented, source, results, stop, logger)
            files = results.close()
        made_of.update(frames=results.length, interrupted=end is not None)
    there = f'{args.out} holds the {results.length} frames before that, with all files finished'
    if isinstance(end, InputError):
        raise InputError(f'{end}; {there}')
    if end is not None:
        sys.stderr.write(f'stopped by {end.name}; {there}\n')
        raise SystemExit(128 + end)
    report(args, source, results, files, time.monotonic() - begin)


def report(args, source, results, files, seconds):
    """Say where everything is."""
    print(
        f'{results.length} frames of {source.reader.name} in {seconds:.1f} s '
        f'({results.length / seconds:.2g} per second)'
    )
    for kind, paths in files.items():
        note = ''
        if kind == 'video':
            sound = 'with sound' if results.video.has_sound else 'without sound'
            note = f' ({results.video.fps:.4g} frames per second, {sound})'
        elif kind == 'json' and 'images' not in files and not results.names_files:
            note = f' (they name images that --write images writes to {args.out / "images"})'
        print(f'{kind}: {", ".join(map(str, paths))}{note}')
