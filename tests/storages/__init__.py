"""Storage classes for projects that are deployed in processes of their own."""
