"""The DAG, its configs, the runners, the artifact store and the command line."""
