"""Runs inside Slicer: a script, without the main window, segments the sample volume; exit code 0 is success.

Slicer --no-main-window --additional-module-paths MedSegAttention --python-script segment_sample.py <sample volume>
"""

import sys

import slicer

MODEL = "hippocampus-ultralight3d"


def segment_sample(path):
    from MedSegAttention import MedSegAttentionLogic, ensurePackages

    ensurePackages()
    volume = slicer.util.loadVolume(path)
    node = MedSegAttentionLogic().segment(volume, MODEL, device="cpu")
    segmentation = node.GetSegmentation()
    ids = list(segmentation.GetSegmentIDs())
    sizes = {
        segmentation.GetSegment(each).GetName(): slicer.util.arrayFromSegmentBinaryLabelmap(node, each, volume).sum()
        for each in ids
    }
    if len(sizes) != 2 or not all(sizes.values()):
        msg = f"two segments with voxels in them were expected, got {sizes}"
        raise RuntimeError(msg)


# Whatever happens Slicer has to end, and with a code that tells ctest.
status = 1
try:
    segment_sample(sys.argv[1])
    status = 0
finally:
    slicer.util.exit(status)
