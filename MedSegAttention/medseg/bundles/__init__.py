"""Models on disk: the catalogue, their weights and their manifests."""
