"""Coloured maps, tracks over images, error maps, and videos. Works on arrays; imports no torch."""

from knet.visualization.colours import (
    colour_depth,
    colour_semantic,
    draw_errors,
    draw_tracks,
    track_colours,
)
from knet.visualization.layout import contact_sheet, side_by_side
from knet.visualization.video import SequenceRenderer, VideoWriter

__all__ = [
    'SequenceRenderer',
    'VideoWriter',
    'colour_depth',
    'colour_semantic',
    'contact_sheet',
    'draw_errors',
    'draw_tracks',
    'side_by_side',
    'track_colours',
]
