"""Networks whose logits are averaged, and how their weights are named in one file."""

import re
from collections.abc import Iterable

from torch import Tensor, nn

_MEMBER = re.compile(r"members\.(\d+)\.")


class Ensemble(nn.Module):
    """The mean of several networks' logits, as nnU-Net averages its folds.

    The mean of logits goes through the stitching of windows unchanged: a volume's logits are the mean of the members'.

    Shape:
        as the members
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Run every member."""
        first, *others = self.members
        total: Tensor = first(x)
        for member in others:
            total = total + member(x)
        return total / len(self.members)


def member_count(names: Iterable[str]) -> int:
    """How many networks the tensors of a file belong to; 0 when it holds one network alone."""
    found = [_MEMBER.match(name) for name in names]
    if not found or not all(found):
        return 0
    return max(int(match[1]) for match in found if match) + 1
