"""Results in the scene: which volumes belong together, how a result becomes nodes, and how it is taken back."""
