"""What the panel remembers and says: settings, their node in the scene, preferences, sentences."""
