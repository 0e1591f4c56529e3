"""Fresh buckets to deploy to, one class for each kind of storage.

Each cloud is a module of its own, so that using one needs the SDK of that one only.
"""

from .base import Cloud, Properties, RecordedCloud, StoredObject

__all__ = ["Cloud", "Properties", "RecordedCloud", "StoredObject"]
