"""How large a request may be, for both APIs: room for some hundred photographs."""

MAX_MESSAGE_BYTES = 32 * 2**20
