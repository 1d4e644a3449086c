"""SQL, once, for two databases: `query` translates it, `sqlite` runs it."""
