"""Write the codes that no list of Slicer's holds into medseg/io/anatomy.term.json.

python Testing/update_terminology.py [FOLDER]: with the folder of Slicer's lists (in its source it is
Modules/Loadable/Terminologies/Resources) the file gets exactly the codes of the shipped models and of
bundles/anatomy.csv that are in none of these. Without, it keeps its codes, as models and table say them now.
"""

import json
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "MedSegAttention"
FILE = MODULE / "medseg" / "io" / "anatomy.term.json"
SCHEMA = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#"
LISTS = "SegmentationCategoryTypeModifier-*.json"


def wanted():
    """What the shipped models and the table say: category, type, modifier or None, colour; the first of equal codes."""
    sys.path.insert(0, str(MODULE))
    from medseg.bundles.anatomy import SIDES, terms
    from medseg.bundles.catalogue import built_in_folder, scan_folder

    models = scan_folder(built_in_folder(), "built-in").bundles.values()
    found = {}
    for each in [*terms(), *(label for bundle in models for label in bundle.manifest.labels)]:
        modifiers = {each.type_modifier, *(SIDES.values() if each.category.value == "123037004" else ()), None}
        for modifier in sorted(modifiers, key=lambda code: "" if code is None else code.value):
            key = each.category.value, each.type.value, None if modifier is None else modifier.value
            if modifier is None or modifier == each.type_modifier or each.type_modifier is None:
                found.setdefault(key, (each.category, each.type, modifier, list(each.color or (128, 174, 128))))
    return found


def keys_of(document):
    """The codes that a list of Slicer's form holds, as the keys of ``wanted``."""
    for category in document["SegmentationCodes"]["Category"]:
        for kind in category["Type"]:
            code = category["CodeValue"], kind["CodeValue"]
            if not kind.get("isInSlicersLists"):
                yield *code, None
            for modifier in kind.get("Modifier", []):
                yield *code, modifier["CodeValue"]


def missing(folder):
    """The wanted codes that none of Slicer's lists holds; of a type that one holds the sides are nobody's need."""
    files = sorted(Path(folder).glob(LISTS))
    if len(files) < 2:
        sys.exit(f"Slicer's lists are called {LISTS}, and {folder} has {len(files)} of them; name another folder")
    held = {key for path in files for key in keys_of(json.loads(path.read_text(encoding="utf-8")))}
    types = {key[:2] for key in held}
    sides = {"7771000", "24028007"}
    return {key for key in wanted() if key not in held and not (key[:2] in types and key[2] in sides)}


def document(keys):
    """The list of some of the wanted codes, in Slicer's form."""
    categories, types = {}, {}
    for key, (category, kind, modifier, colour) in sorted(wanted().items(), key=lambda pair: str(pair)):
        if key not in keys:
            continue
        entry = categories.setdefault(key[0], {**_code(category), "showAnatomy": True, "Type": []})
        if key[:2] not in types:
            types[key[:2]] = {**_code(kind), "recommendedDisplayRGBValue": colour}
            entry["Type"].append(types[key[:2]])
        if (*key[:2], None) not in keys:
            types[key[:2]]["isInSlicersLists"] = True  # only these modifiers of it are not
        if modifier is not None:
            one = {**_code(modifier), "recommendedDisplayRGBValue": colour}
            types[key[:2]].setdefault("Modifier", []).append(one)
    return {
        "SegmentationCategoryTypeContextName": "Segmentation category and type - MedSegAttention",
        "@schema": SCHEMA,
        "SegmentationCodes": {"Category": list(categories.values())},
    }


def _code(code):
    return {"CodeMeaning": code.meaning, "CodingSchemeDesignator": code.scheme, "CodeValue": code.value}


def text(keys):
    """The file's text."""
    return json.dumps(document(keys), indent=1) + "\n"


def main():
    """Write the file."""
    keys = missing(sys.argv[1]) if sys.argv[1:] else set(keys_of(json.loads(FILE.read_text(encoding="utf-8"))))
    FILE.write_text(text(keys), encoding="utf-8")


if __name__ == "__main__":
    main()
