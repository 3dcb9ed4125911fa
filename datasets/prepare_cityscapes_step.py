"""Puts the download of Cityscapes into the form that K-Net is pretrained on.

    python datasets/prepare_cityscapes_step.py DOWNLOAD OUT [--splits train val] [--symlink]
                                               [--nproc N] [--dry-run]

    DOWNLOAD/leftImg8bit/<split>/<city>/<name>_leftImg8bit.png          images
    DOWNLOAD/gtFine/<split>/<city>/<name>_gtFine_polygons.json          labels
    OUT/leftImg8bit/<split>/<city>/<name>_leftImg8bit.png               the same images, linked
    OUT/gtFine/<split>/<city>/<name>_gtFine_labelTrainIds.png           8 bit: train id, 255 = void
    OUT/gtFine/<split>/<city>/<name>_gtFine_instanceTrainIds.png        16 bit: train id * 1000 +
                                                                        object, else < 256

<name> is <city>_<sequence>_<frame>. The maps are drawn by the public package cityscapesScripts. A
run that was interrupted goes on.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from preparation import (
    Outcome,
    Split,
    add_common_options,
    check_output,
    count,
    find_folder,
    is_made,
    is_placed,
    load_package,
    place,
    prepare,
    report,
    shortfalls,
)

from knet.errors import InputError, report_input_errors
from knet.step_format import LABEL_PNG, read_png_size, write_png

# Images of each city.
CITIES = {
    'train': {
        'aachen': 174,
        'bochum': 96,
        'bremen': 316,
        'cologne': 154,
        'darmstadt': 85,
        'dusseldorf': 221,
        'erfurt': 109,
        'hamburg': 248,
        'hanover': 196,
        'jena': 119,
        'krefeld': 99,
        'monchengladbach': 94,
        'strasbourg': 365,
        'stuttgart': 196,
        'tubingen': 144,
        'ulm': 95,
        'weimar': 142,
        'zurich': 122,
    },
    'val': {'frankfurt': 267, 'lindau': 59, 'munster': 174},
}
PACKAGE = 'cityscapesscripts'
IMAGE, POLYGONS = '_leftImg8bit.png', '_gtFine_polygons.json'
LABELS, INSTANCES = '_gtFine_labelTrainIds.png', '_gtFine_instanceTrainIds.png'


class Frame(NamedTuple):
    """An image to prepare, its polygons and its three files in the set."""

    image: str
    polygons: str
    image_target: str
    labels_target: str
    instances_target: str


def prepare_cityscapes_step(
    download: str,
    out: str,
    splits: Sequence[str] = tuple(CITIES),
    symlink: bool = False,
    nproc: int = 1,
    dry_run: bool = False,
) -> List[Split]:
    """Prepare the splits.

    Args:
        download: Folder that holds `leftImg8bit` and `gtFine`, or folders that hold those.
        out: Folder of the set.
        splits: Which of 'train' and 'val'.
        symlink: Link the images by path.
        nproc: Processes.
        dry_run: Only list and count.

    Returns:
        what was found and done; problems of the download are in there.

    Raises:
        InputError: a folder or cityscapesScripts is missing, or the output folder is not this
            set's.
    """
    load_package('cityscapesscripts.helpers.annotation', PACKAGE)
    images, labels = (
        find_folder(
            Path(download),
            (name,),
            lambda folder: any((folder / split).is_dir() for split in splits),
            f'folder {name}/{splits[0]}',
        )
        for name in ('leftImg8bit', 'gtFine')
    )
    if Path(out).resolve() in (images.resolve().parent, labels.resolve().parent):
        raise InputError(f'{out} is the download itself, which stays as it is; name another folder')
    plans = [plan_split(images / name, labels / name, name, Path(out)) for name in splits]
    check_output(plans, dry_run)
    if not dry_run:
        prepare(plans, partial(prepare_frame, symlink=symlink), nproc)
    return plans


def list_city(folder: Path, ending: str) -> Dict[str, str]:
    """`<city>_<sequence>_<frame>` → path of the files with an ending; nothing where there is no
    such folder."""
    return {path.name[: -len(ending)]: str(path) for path in sorted(folder.glob(f'[!.]*{ending}'))}


def plan_split(images: Path, labels: Path, name: str, out: Path) -> Split:
    """List the images of a split; an image without polygons, or the reverse, is a problem."""
    official = CITIES[name]
    folders = [out / kind / name for kind in ('leftImg8bit', 'gtFine')]
    split = Split(name, 'city', (len(official), sum(official.values())), folders)
    found: Dict[str, int] = {}
    for city in sorted(
        {
            entry.name
            for part in (images, labels)
            if part.is_dir()
            for entry in part.iterdir()
            if entry.is_dir()
        }
    ):
        pictures, polygons = list_city(images / city, IMAGE), list_city(labels / city, POLYGONS)
        for lacking, present, what, where in (
            (set(pictures) - set(polygons), 'image', 'polygons', labels / city),
            (set(polygons) - set(pictures), 'polygon file', 'image', images / city),
        ):
            if lacking:
                missing = f'{where / min(lacking)}{POLYGONS if what == "polygons" else IMAGE}'
                split.problems.append(
                    f'city {city}: {count(len(lacking), present)} without {what}, '
                    + (
                        f'the first is {missing}'
                        if where.is_dir()
                        else f'the folder {where} is missing'
                    )
                )
        both = sorted(set(pictures) & set(polygons))
        found[city] = len(both)
        split.groups += bool(both)
        for stem in both:
            targets = (
                str(folders[0] / city / stem) + IMAGE,
                *(str(folders[1] / city / stem) + end for end in (LABELS, INSTANCES)),
            )
            split.pieces.append(Frame(pictures[stem], polygons[stem], *targets))
            split.targets.append(targets)
    split.warnings += shortfalls(found, official, 'city')
    return split


def prepare_frame(frame: Frame, symlink: bool) -> Outcome:
    """Draw the maps of an image and link it, unless that is done, or the polygons are not
    usable."""
    placed = is_placed(frame.image, frame.image_target)
    drawn = all(
        is_made(frame.polygons, target) for target in (frame.labels_target, frame.instances_target)
    )
    if placed and drawn:
        return Outcome()
    try:
        size = read_png_size(frame.image)
        annotation = read_polygons(frame.polygons)
        if (annotation.imgHeight, annotation.imgWidth) != size:
            raise InputError(
                f'{frame.polygons} is for an image of the size '
                f'{(annotation.imgHeight, annotation.imgWidth)}, '
                f'{frame.image} has {size} (height, width)'
            )
        if not drawn:
            labels, instances = draw_maps(annotation, frame.polygons)
    except InputError as error:
        return Outcome(problems=(str(error),))
    if not drawn:
        write_png(frame.labels_target, labels, LABEL_PNG)
        write_png(frame.instances_target, instances, LABEL_PNG)
    return Outcome(copied=0 if placed else int(place(frame.image, frame.image_target, symlink)))


def read_polygons(path: str):
    """The `Annotation` of cityscapesScripts.

    Raises:
        InputError: the file is not readable, or holds a class that cityscapesScripts does not know.
    """
    annotation = load_package('cityscapesscripts.helpers.annotation', PACKAGE).Annotation()
    known = load_package('cityscapesscripts.helpers.labels', PACKAGE).name2label
    try:
        annotation.fromJsonText(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f'{path} is not a readable file of polygons ({error}): it is damaged or incomplete'
        ) from None
    for item in annotation.objects:  # on an unknown class cityscapesScripts would end the process
        if item.label not in known and not (
            item.label.endswith('group') and item.label[: -len('group')] in known
        ):
            raise InputError(f'{path}: the class {item.label!r} is not one of Cityscapes')
    return annotation


def draw_maps(annotation, path: str) -> Tuple[np.ndarray, np.ndarray]:
    """Draw the polygons.

    Returns:
        train ids, shape (H, W), uint8, 255 = void, and instances, shape (H, W), uint16: train id *
        1000 + number of the object in its class, or below 256 where no single object is marked.

    Raises:
        InputError: a polygon cannot be drawn.
    """
    label_image = load_package(
        'cityscapesscripts.preparation.json2labelImg', PACKAGE
    ).createLabelImage
    instance_image = load_package(
        'cityscapesscripts.preparation.json2instanceImg', PACKAGE
    ).createInstanceImage
    try:
        return (
            np.asarray(label_image(annotation, 'trainIds'), np.uint8),
            np.asarray(instance_image(annotation, 'trainIds')).astype(np.uint16),
        )
    except (ValueError, TypeError) as error:
        raise InputError(f'{path}: a polygon cannot be drawn ({error})') from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('download', help='folder of the download; holds leftImg8bit and gtFine')
    parser.add_argument('out', help='folder of the set, for example data/cityscapes')
    parser.add_argument('--splits', nargs='+', choices=tuple(CITIES), default=tuple(CITIES))
    add_common_options(parser)
    args = parser.parse_args()
    report(prepare_cityscapes_step(**vars(args)), args.dry_run)


if __name__ == '__main__':
    with report_input_errors():
        main()
