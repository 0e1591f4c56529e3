"""Django settings of the tests: a project with nothing but static files.

No STATIC_ROOT: each test deploys to the place that its STORAGES names.
"""

SECRET_KEY = "tests"
INSTALLED_APPS = ["collectfasta", "django.contrib.staticfiles"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
STATIC_URL = "/static/"
