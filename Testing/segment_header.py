"""The segments that the header of a .seg.nrrd names, for tests of what writes it."""

from medseg.io.nrrd_header import parse_header
from medseg.io.segnrrd import read_terminology
from medseg.spec.manifest import LabelSpec


def segments_of(path):
    """The segments that the header names."""
    pairs = parse_header(path).pairs
    found = []
    for number in range(sum(key.endswith("_LabelValue") for key in pairs)):
        entry = pairs[f"Segment{number}_Tags"].partition("TerminologyEntry:")[2].rstrip("|")
        category, kind, modifier, region, region_modifier = read_terminology(entry)
        color = tuple(round(255 * float(part)) for part in pairs[f"Segment{number}_Color"].split())
        value, name = int(pairs[f"Segment{number}_LabelValue"]), pairs[f"Segment{number}_Name"]
        codes = {"type_modifier": modifier, "region": region, "region_modifier": region_modifier}
        found.append(LabelSpec(value=value, name=name, color=color, category=category, type=kind, **codes))
    return tuple(found)
