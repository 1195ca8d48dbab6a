"""Beam's steps on Spark: the jar, a local Spark, the proof."""
