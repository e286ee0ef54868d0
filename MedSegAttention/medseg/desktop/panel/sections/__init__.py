"""The parts of the panel: each shows some of the parameters, or what a run brought."""
