"""The report page: one HTML file that works offline."""

import base64
import contextlib
import html
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Optional, Sequence, TextIO, Union

import vl_convert

from knet.files import result_folder, whole_file, write_bytes
from knet.report.data import Run, collect
from knet.report.pictures import FramePicture, draw_pictures, panel_names
from knet.step_format import frame_name

MAX_EMBEDDED = 400  # frames whose pictures go into the page unless the caller decides
PICTURES = 'pictures'
"""Folder of the pictures in the folder beside the page."""
PICTURE_NAME = re.compile(rf'{PICTURES}/\d+/\d{{6,}}_\d{{6,}}\.webp')


def write_report(
    runs: Sequence[Run],
    out: Union[str, Path],
    title: str = 'Video panoptic segmentation',
    embed: Optional[bool] = None,
    width: int = 560,
    nproc: int = 1,
) -> Optional[Path]:
    """Write the page.

    Charts are drawn by Vega-Lite, whose scripts the page takes along from the package vl-convert.

    Args:
        runs: One run, or two of the same frames.
        out: The HTML file; it is there whole or not at all.
        title: Of the page.
        embed: Whether the pictures are part of the page; else they go to a folder beside it, from
            which the browser takes them one by one. None: they are, up to `MAX_EMBEDDED` frames.
        width: Of a picture's panels, pixels.
        nproc: Threads.

    Returns:
        the folder of the pictures, None where they are embedded.

    Raises:
        InputError: the runs do not belong together, a file cannot be read, or the page not be
            written.
    """
    out = Path(out)
    data = collect(runs, title)
    num_frames = sum(len(sequence['frames']) for sequence in data['sequences'])
    embed = num_frames <= MAX_EMBEDDED if embed is None else embed
    folder = None if embed else out.with_name(f'{out.stem}_files')
    with contextlib.ExitStack() as stack:
        pictures = stack.enter_context(contextlib.closing(draw_pictures(runs, width, nproc)))
        if folder is not None:
            made_of = {run.name: str(run.path) for run in runs}
            stack.enter_context(result_folder(folder, (PICTURES,), PICTURE_NAME, made_of))
        partial = stack.enter_context(whole_file(out))
        file = stack.enter_context(open(partial, 'w', encoding='utf-8', errors='replace'))
        write_page(file, data, runs, pictures, folder)
    return folder


def write_page(
    file: TextIO,
    data: Dict[str, Any],
    runs: Sequence[Run],
    pictures: Iterable[FramePicture],
    folder: Optional[Path],
) -> None:
    """Write the page's parts into a file, picture by picture; see `write_report`."""
    sequences = {int(sequence['name']): sequence for sequence in data['sequences']}
    for sequence in sequences.values():
        sequence.update(boxes=[], sizes=[])
    data['pictures'] = dict(panels=panel_names(runs), folder=None)
    if folder is not None:
        data['pictures']['folder'] = f'{folder.name}/{PICTURES}'
    write = file.write
    bundle = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]

    def add_pictures() -> None:
        for picture in pictures:
            sequence = sequences[picture.sequence]
            sequence['boxes'].append(picture.boxes)
            sequence['sizes'].append(picture.size)
            name = frame_name(picture.sequence, sequence['frames'][picture.position])
            if folder is not None:
                path = folder / PICTURES / str(picture.sequence) / f'{name}.webp'
                write_bytes(path, picture.data)
            else:
                text = base64.b64encode(picture.data).decode()
                write(f'<script type="text/plain" id="frame-{name}">{text}</script>\n')

    def add_data() -> None:
        text = json.dumps(data, separators=(',', ':'), allow_nan=False).replace('<', '\\u003c')
        write(f'<script type="application/json" id="data">{text}</script>\n')

    parts: Dict[str, Callable[[], Any]] = {
        'title': lambda: write(html.escape(data['title'])),
        'style': lambda: write(read_part('page.css')),
        'pictures': add_pictures,
        'data': add_data,  # after the pictures, which tell sizes and boxes
        'charts': lambda: write(bundle.replace('</script', '<\\/script')),
        'script': lambda: write(read_part('page.js')),
    }
    for text in read_part('page.html').split('{{'):
        name, found, rest = text.partition('}}')
        if found:
            parts[name]()
        write(rest if found else text)


def read_part(name: str) -> str:
    """A part of the page that lies beside this module."""
    return (resources.files('knet.report') / 'assets' / name).read_text(encoding='utf-8')
