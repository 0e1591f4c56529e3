"""The example project's own app: one page, and the settings."""
