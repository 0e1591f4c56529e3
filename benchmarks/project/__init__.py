"""A Django project that has nothing but static files."""
