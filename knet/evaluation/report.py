"""The result for people, as tables, and for programs, as JSON."""

import json
from pathlib import Path
from typing import List, Optional, Sequence, Union

from terminaltables import AsciiTable

from knet.evaluation.depth import DEPTH_MEASURES
from knet.files import write_bytes

METRICS = ('stq', 'vpq')


def format_table(result: dict, metrics: Sequence[str] = METRICS) -> str:
    """Tables of a result: per sequence, per class and totals, all in percent.

    Args:
        result: See `knet.evaluation.result`.
        metrics: Which to show: 'stq', 'vpq', and where depth was measured 'dstq', 'dvpq' (each also
            with the one it is made of) and 'depth' (also with 'dvpq' and 'vpq').
    """
    tables, wanted = [], set(metrics)
    if 'stq' in wanted:
        tables += _stq_tables(result)
    if 'dstq' in result and wanted & {'stq', 'dstq'}:
        tables.append(_dstq_table(result))
    if 'vpq' in wanted:
        tables += _vpq_tables(result)
    if 'dvpq' in result and wanted & {'vpq', 'dvpq'}:
        tables.append(_dvpq_table(result))
    if 'depth' in result and wanted & {'vpq', 'dvpq', 'depth'}:
        tables.append(_depth_table(result))
    sizes = f'{result["num_sequences"]} sequences, {result["num_frames"]} frames'
    head = f'protocol {result["protocol"]}: {sizes}, values in percent'
    return '\n\n'.join([head] + tables)


def format_image_table(result: dict) -> str:
    """Table of a result of `knet.evaluation.image`: per class and means, in percent."""
    keys = ('pq', 'sq', 'rq', 'iou')
    rows = [
        [_class_name(result, i), *(_percent(result[key][i]) for key in keys)]
        for i in range(len(result['classes']))
        if any(result[key][i] is not None for key in keys)
    ]
    totals = [
        ['thing', _percent(result['PQ_thing']), '', '', ''],
        ['stuff', _percent(result['PQ_stuff']), '', '', ''],
        ['all', *(_percent(result[key]) for key in ('PQ', 'SQ', 'RQ', 'mIoU'))],
    ]
    head = f'protocol {result["protocol"]}: {result["num_images"]} images, values in percent'
    return '\n\n'.join(
        [
            head,
            _table(
                'PQ and IoU by class (* thing)', ['class', 'PQ', 'SQ', 'RQ', 'IoU'], rows, totals
            ),
        ]
    )


def write_json(result: dict, path: Union[str, Path]) -> None:
    """Write a result as JSON with all digits. The file is there whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    text = json.dumps(result, indent=2, allow_nan=False)
    write_bytes(path, (text + '\n').encode())


def _stq_tables(result: dict) -> List[str]:
    """STQ by sequence and by class."""
    name = 'weighted STQ' if result['weighted'] else 'STQ'
    by_sequence = [
        [sequence, str(values['num_frames']), *_stq_row(values['stq'])]
        for sequence, values in result['sequences'].items()
    ]
    total = ['all', str(result['num_frames']), *_stq_row(result['stq'])]
    stq = result['stq']
    by_class = [
        [
            _class_name(result, i),
            _percent(stq['iou_per_class'][i]),
            _percent(stq['aq_per_class'][i]),
            str(stq['tubes_per_class'][i] or '-'),
        ]
        for i in range(len(result['classes']))
        if stq['iou_per_class'][i] is not None
    ]
    if stq['iou_void'] is not None:
        by_class.append(['void', _percent(stq['iou_void']), '-', '-'])
    return [
        _table(
            f'{name} by sequence',
            ['sequence', 'frames', 'tubes', 'STQ', 'AQ', 'SQ'],
            by_sequence,
            [total],
        ),
        _table(
            f'{name} by class (* thing)',
            ['class', 'IoU', 'AQ', 'tubes'],
            by_class,
            [['all', _percent(stq['SQ']), _percent(stq['AQ']), str(stq['num_tubes'])]],
        ),
    ]


def _stq_row(stq: dict) -> List[str]:
    return [str(stq['num_tubes']), _percent(stq['STQ']), _percent(stq['AQ']), _percent(stq['SQ'])]


def _vpq_tables(result: dict) -> List[str]:
    """VPQ by sequence and by class, a column for each window size."""
    sizes = [str(k) for k in result['window_sizes']]
    head = [f'k={k}' for k in sizes] + ['mean']
    by_sequence = [
        [sequence, str(values['num_frames']), *_vpq_row(values['vpq'], 'VPQ')]
        for sequence, values in result['sequences'].items()
    ]
    total = ['all', str(result['num_frames']), *_vpq_row(result['vpq'], 'VPQ')]
    by_class = []
    for i in range(len(result['classes'])):
        values = [result['vpq']['k'][k]['pq'][i] for k in sizes]
        if any(value is not None for value in values):
            mean = None if None in values else sum(values) / len(values)
            by_class.append([_class_name(result, i), *map(_percent, values), _percent(mean)])
    totals = [
        [label, *_vpq_row(result['vpq'], key)]
        for label, key in (('thing', 'VPQ_thing'), ('stuff', 'VPQ_stuff'), ('all', 'VPQ'))
    ]
    return [
        _table('VPQ by sequence', ['sequence', 'frames'] + head, by_sequence, [total]),
        _table(
            'PQ by class over windows of k frames (* thing)', ['class'] + head, by_class, totals
        ),
    ]


def _vpq_row(vpq: dict, key: str) -> List[str]:
    return [_percent(values[key]) for values in vpq['k'].values()] + [_percent(vpq[key])]


def _dstq_table(result: dict) -> str:
    dstq = result['dstq']
    rows = [
        [f't={t}', _percent(values['DQ']), _percent(values['DSTQ'])]
        for t, values in dstq['threshold'].items()
    ]
    return _table(
        'DSTQ',
        ['threshold', 'DQ', 'DSTQ'],
        rows,
        [['all', _percent(dstq['DQ']), _percent(dstq['DSTQ'])]],
    )


def _dvpq_table(result: dict) -> str:
    head = [f'k={k}' for k in result['window_sizes']] + ['mean', 'thing', 'stuff']
    rows = [
        [
            f'lambda={value}',
            *_vpq_row(windows, 'DVPQ'),
            _percent(windows['DVPQ_thing']),
            _percent(windows['DVPQ_stuff']),
        ]
        for value, windows in result['dvpq']['lambda'].items()
    ]
    columns = [
        [windows['k'][str(k)]['DVPQ'] for windows in result['dvpq']['lambda'].values()]
        for k in result['window_sizes']
    ]
    means = [None if None in column else sum(column) / len(column) for column in columns]
    total = [
        'all',
        *map(_percent, means),
        *(_percent(result['dvpq'][key]) for key in ('DVPQ', 'DVPQ_thing', 'DVPQ_stuff')),
    ]
    return _table('DVPQ', ['threshold'] + head, rows, [total])


def _depth_table(result: dict) -> str:
    """Measures of depth alone; these are no percentages."""
    parts = [*result['sequences'].items(), ('all', result)]
    rows = [
        [
            name,
            *(
                '-' if part['depth'][key] is None else f'{part["depth"][key]:.4f}'
                for key in DEPTH_MEASURES
            ),
        ]
        for name, part in parts
    ]
    return _table('Depth (metres and shares)', ['sequence', *DEPTH_MEASURES], rows[:-1], rows[-1:])


def _class_name(result: dict, index: int) -> str:
    return result['classes'][index] + ('*' if index in result['thing_classes'] else '')


def _percent(value: Optional[float]) -> str:
    return '-' if value is None else f'{100 * value:.2f}'


def _table(title: str, head: List[str], rows: List[List[str]], totals: List[List[str]]) -> str:
    """A table whose first column is text and whose others are numbers; the totals stand below a
    line of their own."""
    table = AsciiTable([head] + rows + totals)
    table.justify_columns = {column: 'right' for column in range(1, len(head))}
    lines = table.table.split('\n')
    lines.insert(len(lines) - 1 - len(totals), lines[2])
    return '\n'.join([title] + lines)
