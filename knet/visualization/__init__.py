"""Coloured maps, tracks over images, and videos. Works on arrays; imports no torch."""

from knet.visualization.colours import colour_semantic, draw_tracks, track_colours
from knet.visualization.video import SequenceRenderer, VideoWriter, side_by_side

__all__ = [
    'SequenceRenderer',
    'VideoWriter',
    'colour_semantic',
    'draw_tracks',
    'side_by_side',
    'track_colours',
]
