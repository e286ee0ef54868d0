"""Which volumes and segmentations of a scene belong together: paired where that is sure, and never by chance."""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from medseg.bundles.catalogue import Bundle
from medseg.desktop.scene.results import read_provenance
from medseg.mrml.grids import Node, ijk_to_world, nodes_of
from medseg.mrml.placing import examination_of
from medseg.mrml.probabilities import is_probability_volume
from medseg.mrml.segmentations import own_volume
from medseg.mrml.training_cases import Pair
from medseg.spec.errors import ImageError

_SCAN = "vtkMRMLScalarVolumeNode"  # labelmaps and colour images are of classes derived from it
_PICTURE, _COLOURS = "vtkMRMLVectorVolumeNode", range(2, 5)
_WORD = re.compile(r"[^\W_]+")
_WILD = re.compile(r"(?<!\\)\.[*+]\??")  # takes the patient's name for a part of the channel's
# What people add to the name of a volume to name its segmentation.
_PADDING = frozenset(
    ("annotation", "gt", "ground", "label", "labels", "manual", "mask", "of", "seg", "segm", "segmentation", "truth")
)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A volume whose name fits a channel's pattern."""

    node: Node
    channel: int
    rest: tuple[str, ...]  # words of the name beside the channel's: whose it is


def scans(scene: Node) -> list[Node]:
    """The scalar volumes of a scene that are neither labelmaps nor probabilities that a network brought."""
    return [
        node
        for node in nodes_of(scene, _SCAN)
        if node.GetClassName() == _SCAN and not node.GetHideFromEditors() and not is_probability_volume(node)
    ]


def segmentable(scene: Node, bundle: Bundle) -> list[Node]:
    """The scans, and for a model of one channel the pictures that Slicer loaded in colours, as the scene has them."""
    pictures = [] if len(bundle.manifest.channels) > 1 else list(filter(_is_picture, nodes_of(scene, _PICTURE)))
    chosen = {node.GetID() for node in (*scans(scene), *pictures)}
    return [node for node in nodes_of(scene, _SCAN) if node.GetID() in chosen]


def _is_picture(node: Node) -> bool:
    pixels = node.GetImageData()
    shown = node.GetClassName() == _PICTURE and not node.GetHideFromEditors() and pixels is not None
    return shown and pixels.GetDimensions()[2] == 1 and pixels.GetNumberOfScalarComponents() in _COLOURS


def volume_sets(scene: Node, bundle: Bundle) -> list[list[Node]]:
    """The scans of a scene; for a model of several channels, sets of them, one a channel in the model's order.

    Volumes make a set where there is exactly one way to choose them: within one study of the subject hierarchy; else
    among those whose names are the same but for the channel; else on one grid, if the names do not speak against it.
    Volumes of two studies or patients are never put together.

    Args:
        scene: the MRML scene.
        bundle: the model.
    """
    found = segmentable(scene, bundle)
    channels = bundle.manifest.channels
    if len(channels) == 1:
        return [[node] for node in found]
    places = {node.GetID(): place for place, node in enumerate(found)}
    candidates = list(_candidates(found, [channel.pattern for channel in channels]))
    known = _grouped((examination_of(scene, each.node), each) for each in candidates)
    unknown = known.pop(None, [])
    sets: list[tuple[Node, ...]] = []
    for group in known.values():
        whole = _only_way(group, len(channels))
        sets += _by_name(group, len(channels)) if whole is None else [whole]
    named = _by_name([each for each in unknown if each.rest], len(channels))
    taken = {node.GetID() for each in named for node in each}
    sets += named + _by_grid([each for each in unknown if each.node.GetID() not in taken], len(channels))
    return [list(each) for each in sorted(_without_twice(sets), key=lambda each: places[each[0].GetID()])]


def _candidates(nodes: Iterable[Node], patterns: Sequence[str]) -> Iterator[_Candidate]:
    for node in nodes:
        name = str(node.GetName())
        for channel, pattern in enumerate(patterns):
            if not pattern or not re.search(pattern, name):
                continue
            narrow = _WILD.sub("", pattern) or pattern
            rest = re.sub(narrow, " ", name, count=1)
            yield _Candidate(node, channel, tuple(_WORD.findall(rest.casefold())))


def _by_name(candidates: Iterable[_Candidate], count: int) -> list[tuple[Node, ...]]:
    groups = _grouped((each.rest, each) for each in candidates).values()
    return [found for found in (_only_way(group, count) for group in groups) if found is not None]


def _by_grid(candidates: Iterable[_Candidate], count: int) -> list[tuple[Node, ...]]:
    groups = _grouped((_grid(each.node), each) for each in candidates)
    groups.pop(None, None)
    found = []
    for group in groups.values():
        chosen = _only_way(group, count)
        if chosen is not None and _names_agree(group, chosen):
            found.append(chosen)
    return found


def _names_agree(group: Iterable[_Candidate], chosen: Sequence[Node]) -> bool:
    """Whether of each two names one says nothing that the other does not say."""
    words = [
        next(set(each.rest) for each in group if each.node is node and each.channel == channel)
        for channel, node in enumerate(chosen)
    ]
    return all(one <= other or other <= one for one, other in combinations(words, 2))


def _only_way(group: Sequence[_Candidate], count: int) -> tuple[Node, ...] | None:
    """One volume for each channel, where there is exactly one way to choose them."""
    choices = [[each.node for each in group if each.channel == channel] for channel in range(count)]
    if not all(choices):
        return None
    ways = list(islice(_ways(choices), 2))
    return ways[0] if len(ways) == 1 else None


def _ways(choices: Sequence[Sequence[Node]], taken: tuple[Node, ...] = ()) -> Iterator[tuple[Node, ...]]:
    if not choices:
        yield taken
        return
    for node in choices[0]:
        if node not in taken:
            yield from _ways(choices[1:], (*taken, node))


def _without_twice(sets: Sequence[tuple[Node, ...]]) -> list[tuple[Node, ...]]:
    """Sets that share no volume with another one: where two claim it, neither is sure."""
    ids = [{node.GetID() for node in each} for each in sets]
    return [
        each
        for number, each in enumerate(sets)
        if not any(ids[number] & others for place, others in enumerate(ids) if place != number)
    ]


def _grid(node: Node) -> Hashable:
    """What two volumes on one grid have in common; None where a volume has none."""
    pixels = node.GetImageData()
    if pixels is None:
        return None
    try:
        affine = ijk_to_world(node)
    except ImageError:  # under a transform that bends it
        return None
    return (*pixels.GetDimensions(), *(round(float(each), 3) + 0.0 for each in affine.ravel()))


def _grouped(pairs: Iterable[tuple[Hashable, _Candidate]]) -> dict[Hashable, list[_Candidate]]:
    groups: dict[Hashable, list[_Candidate]] = {}
    for key, each in pairs:
        groups.setdefault(key, []).append(each)
    return groups


def propose_pairs(scene: Node) -> list[Pair]:
    """Pairs of which both sides are sure, in the order of the volumes.

    A segmentation belongs to the volume that it was drawn on. Where it knows none, it belongs to the one volume
    whose name says the same, but for words like "segmentation". What a model drew is no case: it would learn from
    itself.

    Args:
        scene: the MRML scene.
    """
    volumes = scans(scene)
    found: dict[str, list[Node]] = {volume.GetID(): [] for volume in volumes}
    for node in nodes_of(scene, "vtkMRMLSegmentationNode"):
        if node.GetHideFromEditors() or not node.GetSegmentation().GetNumberOfSegments() or read_provenance(node):
            continue
        volume = own_volume(node)
        if volume is None:
            same = [each for each in volumes if _plain_words(each) == _plain_words(node)]
            volume = same[0] if len(same) == 1 and _plain_words(node) else None
        if volume is not None and volume.GetID() in found:
            found[volume.GetID()].append(node)
    # Of several segmentations of one volume it is unknown which is the reference.
    return [Pair(each, found[each.GetID()][0]) for each in volumes if len(found[each.GetID()]) == 1]


def _plain_words(node: Node) -> tuple[str, ...]:
    return tuple(word for word in _WORD.findall(str(node.GetName() or "").casefold()) if word not in _PADDING)
