"""Run Django's commands for the project; ``PYTHONPATH`` has to name the checkout."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.project.settings")
    execute_from_command_line(sys.argv)
