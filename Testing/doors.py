"""Which option a door does not offer, and why. Every other option is offered by every door, which the tests show.

The doors are the commands, the calls of Python, the console of Slicer and its panel; options go by their keyword.
"""

NOT_OFFERED = {
    "commands": {},
    "Python": {},
    "console": {"roi_voxels": "a ROI node, given as roi, says it in voxels of its volume"},
    "panel": {"roi": "a region is a ROI node, which says it in voxels of each volume"},
}

VALUES_OFFERED = {
    # The panel has one check box for a quick preview; the other factors are for scripts.
    ("panel", "spacing_factor"): (1.0, 2.0),
}
