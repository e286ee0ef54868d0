"""The module without its panel: calls from Slicer's Python console and from scripts."""
