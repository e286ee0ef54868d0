"""The steps of a run and what happens beside them."""
