"""What models are called where there is little room: what is segmented and by which network. No Qt."""

import re
from collections import Counter
from collections.abc import Mapping

from medseg.bundles.catalogue import Bundle
from medseg.desktop.state.texts import _

_NETWORK = re.compile(r"\s*\(([^()]+)\)\s*$")  # at the end of a title


def short_title(title: str) -> str:
    """A title without what stands between its first comma and its network.

    Example:
        >>> short_title("Hippocampus, anterior and posterior, T1-weighted MRI (UltraLightUNet3D)")
        'Hippocampus (UltraLightUNet3D)'
    """
    network = _NETWORK.search(title)
    head = (title if network is None else title[: network.start()]).partition(",")[0].strip()
    if not head:
        return title
    return head if network is None else f"{head} ({network[1]})"


def closed_titles(bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """By the ids of models what a closed box shows of them: short where no two are then called the same."""
    short = {each: short_title(bundle.manifest.title) for each, bundle in bundles.items()}
    counts = Counter(short.values())
    found = {each: text if counts[text] == 1 else bundles[each].manifest.title for each, text in short.items()}
    shared = _("{title} (shared)")
    return {
        each: shared.format(title=text) if bundles[each].origin == "shared" else text for each, text in found.items()
    }
