"""The scene: which nodes belong together, how a result becomes nodes, and how it is taken back."""
