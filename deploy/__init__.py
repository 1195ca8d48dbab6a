"""How a pushed model is served and asked: the embedded server, its client, the choice of server."""
