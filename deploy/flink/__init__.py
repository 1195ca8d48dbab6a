"""Beam's steps on a Flink cluster: the jar, a cluster of this machine's processes, the proof."""
