"""From a conversation to search terms: the five strategies, in one visible table.

A strategy is pure: it says which term to search, or what to ask a rewrite model, or which tool to
offer. The turn makes the calls.
"""

from __future__ import annotations

from collections.abc import Mapping

from aivax_cli.core.errors import unknown_name
from aivax_cli.strategy.base import Strategy
from aivax_cli.strategy.concatenate import CONCATENATE
from aivax_cli.strategy.full_rewrite import FULL_REWRITE
from aivax_cli.strategy.plain import PLAIN
from aivax_cli.strategy.query_function import QUERY_FUNCTION
from aivax_cli.strategy.user_rewrite import USER_REWRITE

STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy for strategy in (PLAIN, CONCATENATE, USER_REWRITE, FULL_REWRITE, QUERY_FUNCTION)
}


def strategy_named(name: str) -> Strategy:
    """The strategy of that canonical name; raises NotFoundError with the choices."""
    try:
        return STRATEGIES[name]
    except KeyError:
        raise unknown_name("strategy", name, STRATEGIES, otherwise="") from None


__all__ = ["STRATEGIES", "Strategy", "strategy_named"]
