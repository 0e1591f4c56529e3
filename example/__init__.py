"""A Django project to deploy the static files of, and the demo that deploys them."""
