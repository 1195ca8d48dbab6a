"""A training that can be killed and goes on; what it is fed, and when it ends."""
