"""The worker as Slicer's process sees it: a process behind Qt, the folder of a job, the stream of its events."""
