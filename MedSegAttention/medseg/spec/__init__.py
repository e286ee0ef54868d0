"""The words both processes share: errors, manifests, jobs and events. Standard library only."""
