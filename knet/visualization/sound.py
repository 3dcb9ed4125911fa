"""The sound of a video, with the ffmpeg that imageio-ffmpeg brings."""

import os
import re
import subprocess
from pathlib import Path
from typing import Optional, Sequence

import imageio_ffmpeg

AAC = ('-c:a', 'aac', '-b:a', '192k')
"""What MP4 files hold everywhere; re-encoded, sound can be cut anywhere."""


def has_sound(path: Path) -> bool:
    """Whether a file holds sound; one that cannot be read does not."""
    # without an output ffmpeg lists the streams and ends with an error
    listed = _ffmpeg(['-hide_banner', '-i', os.path.abspath(path)]).stderr
    return re.search(r'^\s*Stream #\S+: Audio:', listed, re.MULTILINE) is not None


def add_sound(
    video: Path, sound: Path, target: Path, start: float, seconds: float
) -> Optional[str]:
    """Write a video with the sound of another file; its pictures are copied as they are.

    Args:
        video: MP4 file without sound.
        sound: The file that has the sound.
        target: MP4 file to write.
        start: Second of `sound` that `video` begins at.
        seconds: How long `video` is; the sound ends with it.

    Returns:
        None, or why it failed.
    """
    # as absolute paths: a:b would be a protocol, -a an option
    files = [os.path.abspath(path) for path in (video, sound, target)]
    inputs = ['-i', files[0], '-ss', f'{start:.6f}', '-i', files[1]]
    streams = ['-map', '0:v:0', '-map', '1:a:0', '-c:v', 'copy', *AAC, '-t', f'{seconds:.6f}']
    # players start before they have all of a file whose index stands at the front
    output = ['-movflags', '+faststart', '-f', 'mp4', '-y', files[2]]
    done = _ffmpeg(['-loglevel', 'error', *inputs, *streams, *output])
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f'ffmpeg ended with status {done.returncode}'


def _ffmpeg(arguments: Sequence[str]) -> 'subprocess.CompletedProcess[str]':
    """Run ffmpeg; Ctrl-C does not reach it, since its caller is to finish."""
    return subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors='replace',
        start_new_session=True,
    )
