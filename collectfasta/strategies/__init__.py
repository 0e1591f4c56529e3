"""Strategies: what a kind of storage has, how to send a file to it, how to delete from it."""

from collectfasta.strategies.base import DisabledStrategy, Strategy, load_strategy

__all__ = ("DisabledStrategy", "Strategy", "load_strategy")
