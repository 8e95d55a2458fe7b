"""Three answers that a developer wants of a comparison, a line each: latency, dense or mixture, cost."""

from dataclasses import replace

from wse_emu.baseline import baselines, cluster, decode_rate
from wse_emu.baseline.cluster import Cluster
from wse_emu.errors import WseError
from wse_emu.systems.compare import Comparison
from wse_emu.systems.rows import SystemRow

NOTABLE = 1.05
"""Times as fast that more GPUs of a node must be, to be mentioned."""


def answers(found: Comparison) -> dict[str, str]:
    """By question: "latency", "mixture", "cost"."""
    return {"latency": latency(found), "mixture": mixture(found), "cost": cost(found)}


def latency(found: Comparison) -> str:
    """The wafer beside the fastest GPU for the fewest users, and beside as many GPUs of a node as are fastest."""
    users, wafer, gpus = _pair(found, fewest=True)
    if wafer is None:
        return f"no wafer and GPU serve the same number of users: nothing to compare at {users:,}"
    fastest = max(gpus, key=lambda row: row.tokens_per_second_per_user)
    rate = wafer.tokens_per_second_per_user
    who = "one user gets" if users == 1 else f"each of {users:,} users gets"
    text = (
        f"{who} {rate:,.0f} tokens/s on {wafer.name}, {_times(rate, fastest.tokens_per_second_per_user)} the "
        f"{fastest.tokens_per_second_per_user:,.0f} on {fastest.name}"
    )
    node = _fastest_node(found, users)
    if node and node[0] > NOTABLE * fastest.tokens_per_second_per_user:
        text += f"; {node[1]} give {node[0]:,.0f}, and the wafer {_times(rate, node[0])} that"
    return text


def mixture(found: Comparison) -> str:
    """Which part of the parameters a token reads, what a batch changes about it, and what a GPU makes of it."""
    work, users = found.work, max(found.asked.users)
    if work.experts is None:
        return (
            f"dense: every token needs all {work.read_parameters() / 1e9:,.3g} billion parameters of its matrices; "
            "GPUs read them once for all users, so their time a token hardly grows until arithmetic or caches do"
        )
    one, many, total = (n / 1e9 for n in (work.read_parameters(1), work.read_parameters(users), work.parameters))
    gains = [_gain(found, count) for count in dict.fromkeys((min(found.asked.users), users))]
    text = f"mixture: one user's token reads {one:,.3g} of {total:,.3g} billion parameters ({one / total:.0%})"
    if users > 1:
        text += f", those of {users:,} users {many:,.3g} ({many / total:.0%}), as each brings its own experts"
    return f"{text}; beside a dense model of that size {', '.join(filter(None, gains))}; memory must hold all of it"


def _gain(found: Comparison, users: int) -> str:
    """By how much the GPU that is fastest with the mixture is faster than with its dense twin."""
    asked, work = found.asked, found.work
    gpus = {row.system: row.tokens_per_second_total for row in found.of("decode", users) if not row.wafer}
    if not gpus:
        return ""
    fastest = [gpu for gpu in found.gpus if gpu.name == max(gpus, key=gpus.__getitem__)]
    twin = replace(work, experts=None, layer_parameters=work.layer_parameters + work.expert_parameters)
    positions = {"position": asked.position, "context": asked.context}
    sparse, dense = (
        baselines(one, fastest, users=users, weights=asked.weights, **positions)[0] for one in (work, twin)
    )
    ratio = sparse.tokens_per_second_total / dense.tokens_per_second_total
    return f"{sparse.gpu} is {ratio:.1f} times as fast for {users:,} user{'s' * (users > 1)}"


def cost(found: Comparison) -> str:
    """Energy of the most users, dollars where there are prices, or the price at which the wafer would draw level."""
    users, wafer, gpus = _pair(found, fewest=False)
    if wafer is None:
        return f"no wafer and GPU serve the same number of users: nothing to compare at {users:,}"
    least = min(gpus, key=lambda row: row.joules_per_token)
    text = (
        f"for {users:,} user{'s' * (users > 1)} {wafer.joules_per_token:,.3g} J a token on {wafer.name}, "
        f"{least.joules_per_token:,.3g} on {least.name}"
    )
    if users < max(found.asked.users):
        text += f" (one of them does not hold {max(found.asked.users):,})"
    priced = [row for row in gpus if row.usd_per_million_tokens is not None]
    if not priced:
        return f"{text}; no price of these GPUs is at hand"
    cheapest = min(priced, key=lambda row: row.usd_per_million_tokens or 0.0)
    assert cheapest.usd_per_million_tokens is not None
    paid = f"${cheapest.usd_per_million_tokens:,.3g} a million tokens on {cheapest.name}"
    if wafer.usd_per_million_tokens is not None:
        return f"{text}; ${wafer.usd_per_million_tokens:,.3g} a million tokens on {wafer.name}, {paid}"
    level = cheapest.usd_per_million_tokens * wafer.tokens_per_second_total * 3600 / 1e6 / wafer.count
    return f"{text}; {paid}; no price of a wafer is published: at ${level:,.3g} an hour each they would be level"


def _pair(found: Comparison, *, fewest: bool) -> tuple[int, SystemRow | None, list[SystemRow]]:
    """The fewest (or most) users that the wafer and some GPU serve, and their rows."""
    for users in sorted(found.asked.users, reverse=not fewest):
        rows = found.of("decode", users)
        wafers, gpus = ([row for row in rows if row.wafer == wanted] for wanted in (True, False))
        if wafers and gpus:
            return users, wafers[0], gpus
    return (min if fewest else max)(found.asked.users), None, []


def _fastest_node(found: Comparison, users: int) -> tuple[float, str] | None:
    """Tokens/s for each user on as many GPUs of one node as are fastest, and their name."""
    asked, rates = found.asked, []
    for gpu in found.gpus:
        for count in (2**n for n in range(gpu.gpus_per_node.bit_length())):
            try:
                rate = _rate(found, cluster(gpu, count, weights=asked.weights), users)
            except WseError:  # too few to hold it
                continue
            rates.append((rate, f"{count} × {gpu.name} of a node"))
    return max(rates, default=None)


def _rate(found: Comparison, on: Cluster, users: int) -> float:
    asked = found.asked
    rate = decode_rate(found.work, on, users=users, position=asked.position, context=asked.context)
    return rate.tokens_per_second_per_user


def _times(one: float, other: float) -> str:
    return f"{one / other:,.2g} times"
