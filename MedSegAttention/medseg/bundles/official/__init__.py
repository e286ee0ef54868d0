"""State-dict names of the published code, one file a network, mapped both ways."""
