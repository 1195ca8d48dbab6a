"""What a model is judged by: metrics, intervals, slices, the champion, thresholds, figures."""
