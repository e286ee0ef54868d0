"""Parts of the benchmark that ``run.py`` puts together: measuring, comparing, and the page."""
