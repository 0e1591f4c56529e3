"""Deploy Django's static files to object storage in the time it takes to send what changed."""

__version__ = "4.0.0.dev0"
