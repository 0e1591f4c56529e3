"""Stores: the objects of one target, by key, whatever SDK makes the requests."""
