"""Broken and odd volumes of every kind, made from a small phantom, with what a sound program does about each."""
