"""chatd: a self-hosted chat server. One asyncio daemon, typed JSON over WebSocket, SQLite."""
