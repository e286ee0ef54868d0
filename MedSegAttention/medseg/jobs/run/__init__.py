"""One case through the network: the path that every door takes."""
