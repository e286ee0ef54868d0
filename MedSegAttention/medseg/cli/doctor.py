"""``medseg doctor``: text for a bug report."""


def doctor() -> None:
    """Print versions, devices, memory, models and a self-test, to paste into a bug report."""
    from medseg.cli.console import output
    from medseg.jobs.doctor import examine

    output().print(examine(), markup=False, soft_wrap=True)
