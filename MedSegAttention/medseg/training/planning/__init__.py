"""From a data set to a plan: what it is like, what fits it, and why."""
