"""How large a request may be: its message, all messages that are read at a time."""

MAX_MESSAGE_BYTES = 32 * 2**20
"""Room for some hundred photographs."""

MAX_BYTES_AT_ONCE = 512 * 2**20
"""Of all requests that are answered at the same time; what comes then is refused."""

MAX_PIXELS_AT_ONCE = 128 * 2**20
"""Of the pictures in them: while it is resized, a pixel takes 16 bytes."""

MAX_CALLS_AT_ONCE = 2_000
"""Of gRPC, which says no size of a message before it is read."""

MAX_SECONDS_IDLE = 60.0
"""Of a REST connection, until a request's headers are there: without a word, or with half of it."""

MAX_SECONDS_TO_READ = 60.0
"""Of a body, from its headers to its end."""

MAX_SECONDS_TO_ANSWER = 60.0
"""Where the client says no time of its own, or a longer one."""
